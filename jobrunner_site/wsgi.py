"""What gunicorn serves."""

import logging
import os

from django.core.wsgi import get_wsgi_application

from jobs.checks import static_files_are_collected
from jobs.set_up import once_set_up

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
application = once_set_up(get_wsgi_application())
for problem in static_files_are_collected():
    logging.getLogger(__name__).error("%s %s", problem.msg, problem.hint)
