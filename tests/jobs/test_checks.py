"""What `check --deploy` and a starting gunicorn say of an installation."""

import pytest

from jobs.checks import (
    addresses_are_told_apart,
    secrets_are_nobody_elses,
    settings_are_spelt_right,
    static_files_are_collected,
)
from tests.site import Site


def test_static_files_that_were_not_collected_are_an_error_that_says_what_to_run(settings, tmp_path):
    settings.DEBUG, settings.STATIC_ROOT = False, str(tmp_path)
    [error] = static_files_are_collected()
    assert str(tmp_path) in error.msg and "manage.py collectstatic" in error.hint

    (tmp_path / "staticfiles.json").write_text("{}")
    assert static_files_are_collected() == []


def test_a_development_server_needs_no_collected_files(settings, tmp_path):
    settings.DEBUG, settings.STATIC_ROOT = True, str(tmp_path)
    assert static_files_are_collected() == []


@pytest.mark.sqlite_only
@pytest.mark.slow_test
def test_no_tables_are_made_beside_folders_that_have_been_used(tmp_path):
    """The database file was lost or moved: a new one would let everything look as if nothing had ever run."""
    with Site(tmp_path, EXECUTOR="fake") as site:
        site.manage("run", "--until-idle")
        (site.work_dir / "db.sqlite3").rename(tmp_path / "moved")

        for command in (["migrate"], ["run", "--until-idle"]):
            printed = site.manage(*command, expect=1)
            assert "is empty, but jobs have been run in" in printed and "put the database's file back" in printed

        (tmp_path / "moved").rename(site.work_dir / "db.sqlite3")
        site.manage("migrate")


@pytest.mark.sqlite_only
@pytest.mark.slow_test
def test_compose_s_migrate_makes_no_tables_where_a_runner_has_been(tmp_path):
    """It sees nothing of the work directory but the folder of the database, and a mark in that."""
    (tmp_path / "database").mkdir()
    (tmp_path / "database" / "database-id").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "workdir" / "database").symlink_to(tmp_path / "database")
    site = Site(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path / 'database' / 'db.sqlite3'}")
    assert "is empty, but jobs have been run in" in site.manage("migrate", expect=1)
    site.__exit__()


def test_a_slip_in_a_setting_s_name_is_told_and_other_programs_names_are_not(settings, tmp_path):
    """Nothing reads MAX_WORKRES, so nothing would ever say that it has no effect."""
    settings.DOTENV_FILE, settings.SECRETS_DIR = str(tmp_path / "env"), str(tmp_path / "secrets")
    lines = [
        "MAX_WORKERS=2",
        " export MAX_WORKRES = 4",
        "COMPOSE_PROFILES=postgresql",
        "# LOG_LEVLE=x",
        "MAX_WORKERS_=1",
    ]
    (tmp_path / "env").write_text("\n".join(lines))
    (tmp_path / "secrets").mkdir()
    for name in ("JOB_SERVER_TOKENS", "JOB_SERVER_TOKEN", "POSTGRES_PASSWORD"):
        (tmp_path / "secrets" / name).write_text("x")
    said = {found.msg.split()[0]: found.hint.split()[1] for found in settings_are_spelt_right()}
    assert said == {
        "MAX_WORKRES": "MAX_WORKERS", "MAX_WORKERS_": "MAX_WORKERS", "JOB_SERVER_TOKENS": "JOB_SERVER_TOKEN",
    }  # fmt: skip


def test_what_cannot_be_looked_at_for_slips_is_no_error(settings, tmp_path):
    """With compose the folder of secrets may be entered and not listed."""
    settings.DOTENV_FILE, settings.SECRETS_DIR = str(tmp_path), str(tmp_path / "none")
    assert settings_are_spelt_right() == []


def test_behind_a_proxy_its_address_has_to_be_known(settings):
    assert addresses_are_told_apart() == []
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert "TRUSTED_PROXIES" in addresses_are_told_apart()[0].hint
    settings.TRUSTED_PROXIES = (None,)
    assert addresses_are_told_apart() == []


@pytest.mark.parametrize(
    ("line", "is_secret"),
    [
        ("SECRET_KEY=abc", True),
        ("export JOB_SERVER_TOKEN = 'abc'", True),
        ("DATABASE_URL=postgresql://me:password@host/db", True),
        ("EMAIL_HOST_PASSWORD=x", True),
        ("SECRET_KEY_FILE=/etc/jobrunner/key", False),
        ("# SECRET_KEY=abc", False),
        ('SECRET_KEY=""', False),
        ("DATABASE_URL=postgresql://me@host/db", False),
        ("BACKEND=tpp", False),
    ],
)
def test_a_file_of_settings_with_a_secret_in_it_is_for_one_user(settings, tmp_path, line, is_secret):
    file = tmp_path / ".env"
    file.write_text(f"ALLOWED_HOSTS=a\n{line}\n")
    settings.DOTENV_FILE = str(file)
    file.chmod(0o640)
    assert secrets_are_nobody_elses() == []
    file.chmod(0o644)
    assert [str(file) in warning.msg for warning in secrets_are_nobody_elses()] == ([True] if is_secret else [])


def test_the_file_of_a_secret_that_everybody_can_read_is_told(settings, tmp_path):
    key, gone = tmp_path / "key", tmp_path / "gone"
    key.write_text("abc")
    settings.SECRET_FILES = [str(key), str(gone)]
    key.chmod(0o600)
    assert secrets_are_nobody_elses() == []
    key.chmod(0o604)
    [warning] = secrets_are_nobody_elses()
    assert str(key) in warning.msg and "chmod" in warning.hint and "abc" not in str(warning)
