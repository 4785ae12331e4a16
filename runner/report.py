"""What the runner says of itself with each sign of life, for the pages: bounded, no study's words, no secrets.

Everything here is known already by threads that asked for it; nothing asks an engine or a disk.
"""

import os
import socket
from collections.abc import Mapping

from django.conf import settings
from django.utils import timezone

from jobs.processes import boot_id
from jobs.version import version
from jobs.wire import clean, moment
from runner.capacity import Capacity, Hold
from runner.chores.watch import ChoreWatch
from runner.database_status import DatabaseStatus
from runner.disk import DiskWatch
from runner.engine_view import EngineView
from runner.engine_watch import EngineWatch

_MOST_TEXT = 300


class Report:
    """Of one `manage.py run` process."""

    def __init__(
        self, engine: EngineView, watch: EngineWatch, disks: DiskWatch, database: DatabaseStatus, chores: ChoreWatch
    ):
        self._engine, self._watch, self._disks, self._database = engine, watch, disks, database
        self._chores = chores
        self._lasting = {
            "started_at": moment(timezone.now()),
            "pid": os.getpid(),
            "host": clean(socket.gethostname(), 100),
            "version": version(),
            "registry": clean(settings.DOCKER_REGISTRY, 200),
            "boot_id": boot_id(),
        }

    def now(
        self, tick_ms: float, room: Capacity | None, held: Mapping[str, Hold], reboot: Mapping[str, int | None] | None
    ) -> dict[str, object]:
        """For `Heartbeat.beat`. `reboot` is what a turn saw while one is prepared."""
        return self._lasting | {
            "tick_ms": tick_ms,
            "engine_unavailable_since": self._engine.unavailable_since or self._watch.silent_since,
            "engine": self._watch.description,
            "engine_answers": self._watch.answers(),
            "engine_hours": self._watch.history.report(),
            "list_ms": self._engine.list_ms,
            "slots": room.slots() if room else {},
            "why_held": {pool: clean(hold.message, _MOST_TEXT) for pool, hold in held.items()},
            "disks": self._disks.report(),
            "git_copies": self._disks.git_copies(),
            "reboot": reboot,
            "database_status": self._database.report(),
            "chores": self._chores.report(),
        }
