"""How `settings` reads variables: types, secrets from files, and problems that are collected and told together.

Knows the names of none but those of secrets' folders. It reads what `environs` reads; nobody but `settings` uses it.
"""

from pathlib import Path

from environs import Env, ValidationError

from jobrunner_site import checking


class Variables(Env):
    """A variable that is set to nothing counts as not set; but for the mode, where a slip must not mean development.

    What cannot be used joins `problems`.
    """

    def __init__(self, problems: list[str]):
        super().__init__(eager=False)
        self.problems, self.secrets_dir = problems, ""
        self.names: set[str] = set()  # of all that was asked for
        self.secret_files: list[str] = []  # those that NAME_FILE names
        self.unread: set[str] = set()  # secrets that are given, but in a file that cannot be read

    def _get_value(self, env_key, default):
        self.names.add(env_key)
        value = super()._get_value(env_key, default)
        return default if value == "" and env_key != "JOB_RUNNER_MODE" else value

    def secret(self, name: str, default: str = "", *, file_wins: bool = False) -> str:
        """The value of NAME, or what stands in the file that NAME_FILE names, or in the folder of secrets.

        An unreadable file joins the problems, and so does a secret that is given in two places: one of them would be
        changed in vain. With `file_wins` the one in the folder of secrets counts.
        """
        named = self.str(f"{name}_FILE", default="")
        self.secret_files += filter(None, [named])
        path = named or checking.file_in(self.secrets_dir, name)
        if not path:
            return self.str(name, default=default)
        try:
            # A file that was saved on Windows may begin with a mark of its byte order.
            if text := Path(path).read_text(encoding="utf-8-sig").strip():
                if self.str(name, default="") not in ("", text) and (named or not file_wins):
                    self.problems.append(f"{name}: is set, and {path} holds another value: remove one (not shown).")
                return text
            self.problems.append(f"{name}_FILE: {path} is empty.")
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{name}_FILE: {path} cannot be read: {error}.")
            self.unread.add(name)
        return default

    def folder(self, name: str, default: Path) -> Path:
        return Path(self.str(name, default=str(default))).absolute()

    def comma_separated(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(item.strip() for item in self.list(name, default=list(default)) or [] if item.strip())


def positive(value: float) -> None:
    """For `validate`. Raises ValidationError."""
    if not value > 0:
        raise ValidationError("must be greater than 0.")
