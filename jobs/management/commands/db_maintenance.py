"""`manage.py db_maintenance on|off`: the switch of that name on the System page."""

from jobs.console.switches import SwitchCommand
from jobs.models import Flag


class Command(SwitchCommand):
    help = "No database job starts while it is on; those that run go on."
    flag = Flag.Name.DB_MAINTENANCE
