"""Packaging: a wheel that runs on its own, complete lock files, unmodified vendored files."""

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
    """Build the wheel as an installer does and return the folder with its content."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    installed = folder / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    return installed


def run_installed(unpacked: Path, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    # -P keeps this checkout off the module path, so that only the wheel is imported.
    return subprocess.run(
        [sys.executable, "-P", "-c", "from app.cli.main import main; main()", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_wheel_contains_rules_migrations_templates_and_static_files(
    unpacked: Path, tmp_path: Path
) -> None:
    assert (unpacked / "app/resources/templates/base.html").is_file()
    assert (unpacked / "app/resources/static/app.css").is_file()
    checked = run_installed(unpacked, "rules", "check", cwd=tmp_path)
    assert re.match(r"[1-9]\d* rules, [1-9]\d* test events, 0 problems", checked.stdout)
    upgraded = run_installed(unpacked, "db", "upgrade", cwd=tmp_path)
    assert "Now at revision" in upgraded.stderr


def test_the_wheel_contains_all_licences(unpacked: Path) -> None:
    (info,) = unpacked.glob("deckwatch-*.dist-info")
    shipped = {str(path.relative_to(info)) for path in info.rglob("*") if path.is_file()}
    assert "licenses/LICENSE" in shipped
    for name in ("htmx", "tabler", "tabler-icons", "uplot"):
        assert f"licenses/static/vendor/{name}/LICENSE" in shipped
    assert "License-Expression: Apache-2.0" in (info / "METADATA").read_text()


def names_in(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", (ROOT / lock).read_text(), re.M))


def test_every_dependency_is_locked_with_hashes_and_without_urls() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dependencies = {
        re.split(r"[\[<>=]", line)[0].lower() for line in project["project"]["dependencies"]
    }
    assert dependencies <= names_in("requirements.lock")
    assert names_in("requirements.lock") <= names_in("requirements-dev.lock")
    for lock in ROOT.glob("*.lock"):
        content = lock.read_text()
        assert "://" not in content
        assert content.count("==") <= content.count("--hash=sha256:")


def test_the_agpl_package_eql_is_a_development_dependency_only() -> None:
    assert "eql" in names_in("requirements-dev.lock")
    assert "eql" not in names_in("requirements.lock")


@pytest.mark.parametrize("folder", sorted((ROOT / "static/vendor").iterdir()), ids=lambda p: p.name)
def test_vendored_folders_state_their_version_and_licence(folder: Path) -> None:
    assert re.fullmatch(r"(@[a-z]+/)?[a-z.]+@\d+\.\d+\.\d+\n?", (folder / "VERSION").read_text())
    assert len((folder / "LICENSE").read_text()) > 300


def test_no_page_loads_resources_from_other_sites() -> None:
    for path in [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static").glob("*.*s")]:
        content = path.read_text()
        assert not re.search(r"""(src|url\(|@import)\s*=?\s*["'(]?https?://""", content), path
        assert not re.search(r"<link[^>]+https?://", content), path
        assert not re.search(r"\son[a-z]+=|\sstyle=|<style|<script>", content), path
