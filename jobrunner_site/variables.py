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
        self.secret_files: list[str] = []  # those that NAME_FILE names

    def _get_value(self, env_key, default):
        value = super()._get_value(env_key, default)
        return default if value == "" and env_key != "JOB_RUNNER_MODE" else value

    def secret(self, name: str, default: str = "") -> str:
        """The value of NAME, or what stands in the file that NAME_FILE names, or in the folder of secrets; an
        unreadable file joins the problems."""
        named = self.str(f"{name}_FILE", default="")
        self.secret_files += filter(None, [named])
        path = named or checking.file_in(self.secrets_dir, name)
        if not path:
            return self.str(name, default=default)
        try:
            if text := Path(path).read_text().strip():
                return text
            self.problems.append(f"{name}_FILE: {path} is empty.")
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{name}_FILE: {path} cannot be read: {error}.")
        return default

    def folder(self, name: str, default: Path) -> Path:
        return Path(self.str(name, default=str(default))).absolute()

    def comma_separated(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(item.strip() for item in self.list(name, default=list(default)) or [] if item.strip())


def positive(value: float) -> None:
    """For `validate`. Raises ValidationError."""
    if not value > 0:
        raise ValidationError("must be greater than 0.")
