"""What gunicorn serves."""

import logging
import os

from django.core.wsgi import get_wsgi_application

from jobs.checks import static_files_are_collected

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
application = get_wsgi_application()
for problem in static_files_are_collected():
    logging.getLogger(__name__).error("%s %s", problem.msg, problem.hint)
