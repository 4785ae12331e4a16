"""Which running containers' logs are being followed: at most one follower a container, for one `run` process."""

import logging
import threading

from django.conf import settings

from jobs import storage
from jobs.models import Job
from runner import logs
from runner.executors.base import Executor

log = logging.getLogger(__name__)

# A follower that has seen the container's end finishes at once; one that hangs is left to end by itself.
STOP_SECONDS = 2.0


class Followers:
    """Safe to call from several threads."""

    def __init__(self, executor: Executor):
        self._executor = executor
        self._limits = logs.LogLimits(head_bytes=settings.JOB_LOG_BYTES)
        self._following: dict[str, logs.LogFollower] = {}
        self._lock = threading.Lock()
        self._is_short_of_threads = False

    def follow(self, job: Job) -> bool:
        """Make sure that the log of the job's container is being appended to its file; whether that is new.

        Where the host starts no more threads the job goes on without: its log is fetched whole after its end.
        """
        name = job.container_name
        with self._lock:
            if name in self._following:
                return False
            follower = logs.LogFollower(self._executor, name, storage.job_log(job), self._limits)
            if not self._is_started(follower):
                return False
            self._following[name] = follower
        return True

    def _is_started(self, follower: logs.LogFollower) -> bool:
        try:
            follower.start()
        except RuntimeError as error:
            if not self._is_short_of_threads:
                log.warning("logs cannot be followed for now, they are fetched when their jobs end: %s", error)
            self._is_short_of_threads = True
            return False
        self._is_short_of_threads = False
        return True

    def complete(self, job: Job) -> None:
        """The container has ended: stop following, and fetch whatever the file still lacks."""
        self.forget(job)
        logs.complete(self._executor, job.container_name, storage.job_log(job), self._limits)

    def forget(self, job: Job) -> None:
        with self._lock:
            follower = self._following.pop(job.container_name, None)
        if follower is not None:
            follower.stop(STOP_SECONDS)

    def leave(self, job: Job) -> None:
        """Stop following without waiting for the follower; somebody may follow the log again later."""
        with self._lock:
            follower = self._following.pop(job.container_name, None)
        if follower is not None:
            follower.stop(0)

    def close(self) -> None:
        """The process ends: the files stay as they are and are completed by the next one."""
        with self._lock:
            followers, self._following = list(self._following.values()), {}
        for follower in followers:
            follower.stop(0)
