"""How gunicorn serves the pages, everywhere: `gunicorn --config python:jobrunner_site.gunicorn_conf`.

What sites choose are settings (WEB_…); the rest is what the pages and the RAP API need. Settings that cannot work end
gunicorn with their one message. SIGHUP would keep the old settings, as they are read once: restart it instead.
"""

import os
from pathlib import Path

from django.conf import settings
from gunicorn.glogging import Logger

from jobs.log import escape
from jobs.notify import tell

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
wsgi_app = "jobrunner_site.wsgi"
bind = list(settings.WEB_BIND)
# Threads, because calls wait (for the database, rap/create for its plan); a page costs a few milliseconds of processor.
worker_class = "gthread"
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
# Each worker imports the code itself: no connection or thread from before a fork is shared, and it costs a second.
preload_app = False
# A worker whose main thread has said nothing for so long is killed; calls in threads are not counted by it.
timeout = 60
# What is under way at a stop is finished, the longest call included.
graceful_timeout = int(settings.RAP_CREATE_TIMEOUT_SECONDS) + 10
# The proxy closes after each call by itself; a monitor or a program may keep its connection a little.
keepalive = 5
# A worker that has grown is replaced now and then, not all at the same moment; the other one serves meanwhile.
max_requests = 100_000
max_requests_jitter = 20_000
# The sign of life is a file: on a disk that hangs it would end the workers.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes a file without a name
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190
# Whom to believe about https and addresses is for Django's settings alone (BEHIND_TLS_PROXY, TRUSTED_PROXIES).
forwarded_allow_ips = ""
# Nobody steers gunicorn but by signals.
control_socket_disable = True
proc_name = "jobrunner-web"
errorlog = "-"
loglevel = settings.LOG_LEVEL.lower()
accesslog = "-" if settings.WEB_ACCESS_LOG else None
# %(U)s is the path without what follows the "?". The address is the nearest sender's, the proxy's if there is one.
access_log_format = "%(h)s %(m)s %(U)s %(s)s %(B)s bytes %(M)s ms"


class OneLine(Logger):
    """An access log whose lines nobody can forge: a path may hold line breaks and escape sequences."""

    def atoms(self, resp, req, environ, request_time):
        found = super().atoms(resp, req, environ, request_time)
        return {name: escape(value) if isinstance(value, str) else value for name, value in found.items()}


logger_class = OneLine


def when_ready(server) -> None:
    """Listening; calls wait for the workers, which come up in a second."""
    tell("READY=1", "STATUS=serving the pages")


def on_exit(server) -> None:
    tell("STOPPING=1")
