"""What a job's container may and may not do, as the body of the engine's "create" call. Pure: nothing here connects.

The profile is the same for every job: no capabilities, no new privileges, not root, no network unless the job is given
one, and a limit on everything that one job could take away from its neighbours (reasons: docs/decisions.md).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.executors.base import ContainerSpec

LABEL = "org.jobrunner."
INSTANCE_LABEL = LABEL + "instance"
JOB_LABEL = LABEL + "job"
ATTEMPT_LABEL = LABEL + "attempt"

WORKSPACE = "/workspace"
SCRATCH = "/tmp"  # inside the container
HOSTNAME = "job"
_SINGLE_FILE_LOG_DRIVERS = ("k8s-file",)

# Under memory pressure the kernel ends a job before the engine or the runner (-1000 to 1000).
_OOM_SCORE = 500
_REDACTED = "[redacted]"
_PUBLIC_VARIABLES = frozenset(
    {"HOME", "HOSTNAME", "LANG", "LC_ALL", "LOGNAME", "OMP_NUM_THREADS", "OPENSAFELY_BACKEND", "PATH", "TZ", "USER"}
)


@dataclass(frozen=True)
class Limits:
    """What one container may use, besides the processor time and memory that its specification gives."""

    pids: int = 1024
    shm_bytes: int = 256 * 1024**2  # the engine's 64 MB break multiprocessing; counts as memory
    fsize_bytes: int = 100 * 1024**3  # one file; beyond it the writer dies with exit code 153
    log_max_size: str = "20m"  # of one file of the engine's log, in the engine's spelling
    log_max_file: int = 5
    tmp_bytes: int = 1024**3  # of /tmp, and only where the root file system is read-only: then /tmp is memory


@dataclass(frozen=True)
class Profile:
    """What all containers of this installation have in common.

    `read_only_root` is not set by any setting yet: it waits for images that are chosen to have one, with disk for /tmp.
    """

    instance: str
    uid: int
    gid: int
    limits: Limits
    read_only_root: bool = False
    log_driver: str = "local"


def labels(profile: Profile, spec: ContainerSpec) -> dict[str, str]:
    """Ours come last: no label for people to look at can pass as one that the runner goes by."""
    return {LABEL + name: value for name, value in spec.labels.items()} | {
        INSTANCE_LABEL: profile.instance,
        JOB_LABEL: spec.job_id,
        ATTEMPT_LABEL: str(spec.attempt),
    }


def create_body(profile: Profile, spec: ContainerSpec, workspace_source: Path) -> dict:
    """The JSON body of POST /containers/create. `workspace_source` is the job's folder as the engine's host sees it.

    Where the specification names a volume, that takes the folder's place. The image's entrypoint is kept: study images
    rely on theirs.
    """
    return {
        "Image": spec.image,
        "Cmd": list(spec.command),
        "Env": [f"{name}={value}" for name, value in _environment(spec).items()],
        "Labels": labels(profile, spec),
        "User": f"{profile.uid}:{profile.gid}",
        "WorkingDir": WORKSPACE,
        "Hostname": HOSTNAME,
        # An image's health check would run a command of its own beside the job, again and again.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(profile, spec, workspace_source),
    }


def covered_places(container: Mapping, volume: str = "") -> list[str]:
    """The places at or below the workspace where something else than the job's folder (or `volume`) is mounted.

    Those are an image's VOLUMEs. `container` is the answer of GET /containers/<id>/json.
    """
    own = ("volume", WORKSPACE, volume) if volume else ("bind", WORKSPACE, "")
    mounts = {
        (mount["Type"], mount["Destination"], mount.get("Name", "") if volume else "") for mount in container["Mounts"]
    }
    return sorted(target for _, target, _ in mounts - {own} if f"{target}/".startswith(f"{WORKSPACE}/"))


def _environment(spec: ContainerSpec) -> dict[str, str]:
    """The user has no entry in the image's passwd file: names for programs that ask for one, and a home they may write.

    Libraries count the host's processors, not their share: OMP_NUM_THREADS keeps them from starting too many threads.
    """
    common = {"HOME": SCRATCH, "USER": "job", "LOGNAME": "job", "OMP_NUM_THREADS": str(max(1, math.ceil(spec.cpus)))}
    return common | dict(spec.environment)


def _host_config(profile: Profile, spec: ContainerSpec, workspace_source: Path) -> dict:
    limits = profile.limits
    return {
        "NetworkMode": spec.network or "none",
        "ExtraHosts": [f"{HOSTNAME}:127.0.0.1"],  # without a network the engine writes no line for the host's own name
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "IpcMode": "private",
        "Init": True,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "OomScoreAdj": _OOM_SCORE,
        "NanoCpus": round(spec.cpus * 10**9),
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,  # memory and swap together: so no swap
        "PidsLimit": limits.pids,
        "ShmSize": limits.shm_bytes,
        "Ulimits": _ulimits(limits),
        "LogConfig": _log_config(profile),
        "Mounts": [_workspace(spec, workspace_source)],
        "ReadonlyRootfs": profile.read_only_root,
        "Tmpfs": _scratch(limits) if profile.read_only_root else {},
    }


def _workspace(spec: ContainerSpec, source: Path) -> dict:
    """What an image has at /workspace is not copied into a volume: a folder hides it, too."""
    if spec.workspace_volume:
        options = {"NoCopy": True}
        return {"Type": "volume", "Source": spec.workspace_volume, "Target": WORKSPACE, "VolumeOptions": options}
    return {"Type": "bind", "Source": str(source), "Target": WORKSPACE}


def _log_config(profile: Profile) -> dict:
    """Podman keeps one file, and begins it anew when it is full: so that gets the room of all."""
    size, files = profile.limits.log_max_size, profile.limits.log_max_file
    if profile.log_driver in _SINGLE_FILE_LOG_DRIVERS:
        return {"Type": profile.log_driver, "Config": {"max-size": f"{int(size[:-1]) * files}{size[-1]}"}}
    return {"Type": profile.log_driver, "Config": {"max-size": size, "max-file": str(files)}}


def _ulimits(limits: Limits) -> list[dict]:
    """Never `nproc`: the kernel counts it per user, so one job would starve all others (fact F9).

    Nor `nofile`: above the engine's own limit no container starts.
    """
    chosen = {"core": 0, "fsize": limits.fsize_bytes}
    return [{"Name": name, "Soft": value, "Hard": value} for name, value in chosen.items()]


def _scratch(limits: Limits) -> dict[str, str]:
    """Programs compile and load code there (R, numba): so `exec`, which is not the engine's default."""
    return {SCRATCH: f"rw,nosuid,nodev,exec,mode=1777,size={limits.tmp_bytes}"}


def redacted(container: Mapping) -> dict:
    """What the engine tells of a container, without the values of variables that may be secrets.

    Fails closed: a variable keeps its value only if its name is on the short list above.
    """
    config = dict(container.get("Config") or {})
    config["Env"] = [_redacted_variable(variable) for variable in config.get("Env") or []]
    return dict(container) | {"Config": config}


def _redacted_variable(variable: str) -> str:
    name = variable.partition("=")[0]
    return variable if name in _PUBLIC_VARIABLES else f"{name}={_REDACTED}"
