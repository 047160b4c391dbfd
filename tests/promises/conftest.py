"""Fixture of the promise tests: an API key of an agent, in a new database for each test."""

from pathlib import Path

import pytest

from tests.promises.ground import make_key


@pytest.fixture
def key(tmp_path: Path) -> str:
    return make_key(tmp_path, "fleet")
