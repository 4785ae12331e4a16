"""`manage.py db_maintenance on|off`: the switch of that name on the System page."""

from jobs.console.switches import SwitchCommand
from jobs.models import Flag


class Command(SwitchCommand):
    help = "While it is on no database job starts, and those that run are stopped and run again later."
    flag = Flag.Name.DB_MAINTENANCE
