"""`manage.py pause on|off`: the switch of that name on the System page."""

from jobs.console.switches import SwitchCommand
from jobs.models import Flag


class Command(SwitchCommand):
    help = "No new job starts while it is on; what runs goes on."
    flag = Flag.Name.PAUSED
