"""`manage.py prepare_for_reboot on|off|status`: the switch of that name on the System page, and whether it is safe."""

from jobs.console import reboot
from jobs.console.command import Refused
from jobs.console.switches import SwitchCommand
from jobs.models import Flag


class Command(SwitchCommand):
    help = (
        "While it is on no job starts, and those that run are stopped and run again later. With --at this begins then; "
        "until then only jobs start that will by their past runs be done, and it goes off by itself after the reboot. "
        "`status` says whether it is safe to reboot now (exit code 0), or what is still to be waited for (1)."
    )
    flag = Flag.Name.REBOOT
    turns = ("on", "off", "status")

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--at", help="plan it: 90m, 2h, 1d, 22:00 or '2026-11-26 22:00' (UTC)")
        parser.add_argument("--wait", action="store_true", help="with `on` or `status`: return when it is safe")

    def answer(self, *, turn: str, wait: bool, dry_run: bool, as_json: bool, **options) -> int | None:
        if wait and (turn == "off" or dry_run):
            raise Refused("--wait goes with `on` or `status`, and not with --dry-run.")
        if turn != "status":
            super().answer(turn=turn, dry_run=dry_run, as_json=as_json and not wait, **options)
        if wait:
            return reboot.wait_until_safe(as_json=as_json)
        return reboot.show(reboot.look(), as_json=as_json) if turn == "status" else None
