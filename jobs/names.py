"""Which names of workspaces and actions may become names of files: asked when they come in and when paths are made."""

import re

PROJECT_FILE = "project.yaml"
MOST_NAME_BYTES = 128
# Not beginning with '-': a folder's name is also an argument of commands.
WORKSPACE_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,127}")
# Letters of any script, never a separator or a leading dot.
ACTION_NAME = re.compile(r"\w(?:[\w .-]*[\w-])?")


def address_key(repo_url: str) -> str:
    """The same for all spellings of one repository's address; a local path has only one."""
    return repo_url.rstrip("/").removesuffix(".git").lower() if "://" in repo_url else repo_url
