"""The answers that tell of jobs and their outputs: what each key means, with an example. Never a file's contents."""

from datetime import datetime

from ninja import Schema
from pydantic import Field

from jobs.states import State, StatusCode

EXAMPLE_JOB = "jr7k2mzq4t5xw3ab"
EXAMPLE_REQUEST = "4ptd2yqzkb6n3mva"
IDENTIFIER = r"^[A-Za-z0-9_-]+$"


class JobRow(Schema):
    """A job, as in lists."""

    identifier: str = Field(examples=[EXAMPLE_JOB])
    request: str = Field(description="identifier of its job request", examples=[EXAMPLE_REQUEST])
    workspace: str = Field(examples=["diabetes"])
    action: str = Field(examples=["generate_dataset"])
    requester: str = Field(description="who has asked for it; empty if nobody said", examples=["alice"])
    state: State = Field(examples=["running"])
    status_code: StatusCode = Field(description="the fine grain of the state", examples=["executing"])
    message: str = Field(description="why, in a sentence for the study's author", examples=["Running."])
    requires_db: bool = Field(description="whether it reads the patients' database")
    attempt: int = Field(examples=[1])
    stop_request: str = Field(description="what it was asked for: empty, cancel or kill", examples=[""])
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime

    @staticmethod
    def resolve_request(job) -> str:
        return job.request.identifier

    @staticmethod
    def resolve_requester(job) -> str:
        return job.request.created_by

    @staticmethod
    def resolve_message(job) -> str:
        return job.status_message


class Awaited(Schema):
    """A job that another one waits for, or waited for."""

    identifier: str = Field(examples=[EXAMPLE_JOB])
    action: str = Field(examples=["generate_dataset"])
    state: State = Field(examples=["succeeded"])


class JobDetail(JobRow):
    """A job with everything that is known of it but its log and outputs."""

    detail: str = Field(description="more about the message; may name files, so it never leaves this site")
    run_command: str = Field(examples=["ehrql:v1 generate-dataset analysis/dataset.py --output output/d.csv"])
    image: str = Field(examples=["ehrql:v1"])
    image_id: str = Field(description="digest of the image that was run", examples=["sha256:9f86d081884c7d65"])
    commit: str = Field(description="of the study's repository", examples=["9" * 40])
    repo_url: str = Field(examples=["https://github.com/opensafely/diabetes"])
    exit_code: int | None = Field(description="of the container; 137: killed, mostly for want of memory")
    out_of_memory: bool
    waits_for: list[Awaited] = Field(description="the jobs whose outputs it gets")
    stop_requested_by: str
    stop_reason: str
    retry_requested_at: datetime | None = Field(description="since when its finalising is to be tried again")

    @staticmethod
    def resolve_detail(job) -> str:
        return job.status_detail

    @staticmethod
    def resolve_commit(job) -> str:
        return job.request.commit

    @staticmethod
    def resolve_repo_url(job) -> str:
        return job.request.repository


class JobPage(Schema):
    """Jobs, the newest first."""

    jobs: list[JobRow]
    next: str | None = Field(
        description="give it as `after` for the older ones, also when this page holds few or none; null: that is all",
        examples=[EXAMPLE_JOB],
    )


class Change(Schema):
    """One step of a job's way."""

    id: int = Field(examples=[812])
    at: datetime
    from_code: str = Field(description="empty for its first status", examples=["prepared"])
    to_code: str = Field(examples=["executing"])
    message: str = Field(examples=["Running."])
    actor: str = Field(description="which process or person", examples=["runner"])
    attempt: int = Field(examples=[1])


class ChangePage(Schema):
    """A job's way, the oldest step first."""

    changes: list[Change]
    next: int | None = Field(description="give it as `after` for the later ones; null: that is all for now")


class Output(Schema):
    """What is known of a file that a job has made. There is no call that gives its contents."""

    path: str = Field(description="in the workspace", examples=["output/table.csv"])
    level: str = Field(description="its privacy level", examples=["moderately_sensitive"])
    size: int = Field(description="bytes", examples=[4096])
    rows: int | None = Field(description="of a table, as it was counted", examples=[12])
    columns: int | None = Field(examples=[4])
    sha256: str = Field(examples=["0" * 64])
    excluded: bool = Field(description="whether the disclosure checks withheld it from output checking")
    rule: str = Field(description="which rule decided that", examples=[""])
    message: str = Field(description="why it was withheld", examples=[""])
    is_current: bool = Field(description="false once another job has replaced the file")

    @staticmethod
    def resolve_rows(output) -> int | None:
        return output.row_count

    @staticmethod
    def resolve_columns(output) -> int | None:
        return output.col_count

    @staticmethod
    def resolve_sha256(output) -> str:
        return output.content_hash


class OutputPage(Schema):
    """Outputs of a job, by path."""

    outputs: list[Output]
    next: str | None = Field(description="give it as `after` for the following ones; null: that is all")


class WorkspaceOutput(Output):
    """An output that stands in a workspace now, and the job that made it."""

    job: str = Field(examples=[EXAMPLE_JOB])
    action: str = Field(examples=["generate_dataset"])
    completed_at: datetime | None

    @staticmethod
    def resolve_job(output) -> str:
        return output.job.identifier

    @staticmethod
    def resolve_action(output) -> str:
        return output.job.action

    @staticmethod
    def resolve_completed_at(output) -> datetime | None:
        return output.job.completed_at


class WorkspaceOutputPage(Schema):
    """What stands in a workspace, by path."""

    outputs: list[WorkspaceOutput]
    next: str | None = Field(description="give it as `after` for the following ones; null: that is all")


class WorkspacePage(Schema):
    """Names of workspaces."""

    workspaces: list[str] = Field(examples=[["diabetes", "measures"]])
    next: str | None = Field(description="give it as `after` for the following ones; null: that is all")
