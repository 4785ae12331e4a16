"""What every test gets: folders of its own, so that no test sees another one's files."""

import pytest


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.WORK_DIR = settings.HOST_WORK_DIR = tmp_path / "workdir"
    settings.HIGH_PRIVACY_STORAGE_BASE = settings.WORK_DIR / "high_privacy"
    settings.MEDIUM_PRIVACY_STORAGE_BASE = settings.WORK_DIR / "medium_privacy"
    settings.GIT_REPO_DIR = settings.WORK_DIR / "repos"
    settings.WORK_DIR.mkdir()
