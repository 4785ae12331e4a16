"""What `check --deploy` and a starting gunicorn say of an installation."""

from jobs.checks import static_files_are_collected


def test_static_files_that_were_not_collected_are_an_error_that_says_what_to_run(settings, tmp_path):
    settings.DEBUG, settings.STATIC_ROOT = False, str(tmp_path)
    [error] = static_files_are_collected()
    assert str(tmp_path) in error.msg and "manage.py collectstatic" in error.hint

    (tmp_path / "staticfiles.json").write_text("{}")
    assert static_files_are_collected() == []


def test_a_development_server_needs_no_collected_files(settings, tmp_path):
    settings.DEBUG, settings.STATIC_ROOT = True, str(tmp_path)
    assert static_files_are_collected() == []
