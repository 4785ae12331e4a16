"""What the tests of all these commands use."""

import pytest

from tests.console import Terminal


@pytest.fixture
def manage(capsys, monkeypatch) -> Terminal:
    return Terminal(capsys, monkeypatch)
