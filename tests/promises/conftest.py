"""A key for each promise's own database."""

from pathlib import Path

import pytest

from tests.promises.ground import make_key


@pytest.fixture
def key(tmp_path: Path) -> str:
    return make_key(tmp_path, "fleet")
