"""What is shipped: a wheel that runs by itself, fitting lock files, vendored files as they came."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as an installer would and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    there = folder / "installed"
    zipfile.ZipFile(wheel).extractall(there)
    return there


def run_installed(unpacked: Path, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    # -P keeps this checkout off the path: only the wheel may answer.
    return subprocess.run(
        [sys.executable, "-P", "-c", "from app.cli.main import main; main()", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_wheel_brings_its_rules_migrations_templates_and_static_files(
    unpacked: Path, tmp_path: Path
) -> None:
    assert (unpacked / "app/resources/templates/base.html").is_file()
    assert (unpacked / "app/resources/static/app.css").is_file()
    checked = run_installed(unpacked, "rules", "check", cwd=tmp_path)
    assert re.match(r"[1-9]\d* rules, [1-9]\d* test events, 0 problems", checked.stdout)
    upgraded = run_installed(unpacked, "db", "upgrade", cwd=tmp_path)
    assert "Now at revision" in upgraded.stderr


def test_licences_are_shipped(unpacked: Path) -> None:
    (info,) = unpacked.glob("deckwatch-*.dist-info")
    shipped = {str(path.relative_to(info)) for path in info.rglob("*") if path.is_file()}
    assert "licenses/LICENSE" in shipped
    for name in ("htmx", "tabler", "tabler-icons", "uplot"):
        assert f"licenses/static/vendor/{name}/LICENSE" in shipped
    assert "License-Expression: Apache-2.0" in (info / "METADATA").read_text()


def names_in(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", (ROOT / lock).read_text(), re.M))


def test_every_dependency_is_locked_with_hashes_and_without_addresses() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = {re.split(r"[\[<>=]", line)[0].lower() for line in project["project"]["dependencies"]}
    assert named <= names_in("requirements.lock")
    assert names_in("requirements.lock") <= names_in("requirements-dev.lock")
    for lock in ROOT.glob("*.lock"):
        told = lock.read_text()
        assert "://" not in told
        assert told.count("==") <= told.count("--hash=sha256:")


def test_the_agpl_oracle_stays_out_of_what_runs() -> None:
    assert "eql" in names_in("requirements-dev.lock")
    assert "eql" not in names_in("requirements.lock")


@pytest.mark.parametrize("folder", sorted((ROOT / "static/vendor").iterdir()), ids=lambda p: p.name)
def test_vendored_files_say_their_version_and_licence(folder: Path) -> None:
    assert re.fullmatch(r"(@[a-z]+/)?[a-z.]+@\d+\.\d+\.\d+\n?", (folder / "VERSION").read_text())
    assert len((folder / "LICENSE").read_text()) > 300


def test_no_page_fetches_anything_from_elsewhere() -> None:
    for path in [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static").glob("*.*s")]:
        told = path.read_text()
        assert not re.search(r"""(src|url\(|@import)\s*=?\s*["'(]?https?://""", told), path
        assert not re.search(r"<link[^>]+https?://", told), path
        assert not re.search(r"\son[a-z]+=|\sstyle=|<style|<script>", told), path
