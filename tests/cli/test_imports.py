"""Start-up imports of the command line: commands load only what they need."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import app.cli
from tests.processes import ROOT

WEB_PACKAGES = ("fastapi", "starlette", "uvicorn", "jinja2", "prometheus_client")
EXPORTED = "import sys; print(*(name for name in {names!r} if name in sys.modules))"


def loaded_packages(code: str, names: tuple[str, ...], cwd: Path) -> str:
    """Run `code` in a new interpreter; return the packages of `names` that it imported, in one line."""
    script = f"{code}\n{EXPORTED.format(names=names)}"
    completed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "DECKWATCH_LOG_FORMAT": "text"},
        input=b"",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr.decode()
    return completed.stdout.decode().splitlines()[-1]


def test_importing_the_command_line_loads_no_web_framework_and_no_markdown(tmp_path: Path) -> None:
    names = (*WEB_PACKAGES, "markdown_it", "sqlalchemy")
    assert loaded_packages("import app.cli.main", names, tmp_path) == ""


def test_no_module_of_the_command_line_loads_a_web_framework(tmp_path: Path) -> None:
    modules = [f"app.cli.{module.name}" for module in pkgutil.iter_modules(app.cli.__path__)]
    assert "app.cli.serve" in modules
    assert loaded_packages(f"import {', '.join(modules)}", WEB_PACKAGES, tmp_path) == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["rules", "check"],
        ["rules", "list"],
        ["key", "list"],
        ["db", "upgrade"],
        ["replay", "events.ndjson"],
        ["explain", "events.ndjson"],
    ],
    ids=" ".join,
)
def test_commands_other_than_serve_load_no_web_framework(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "events.ndjson").write_text('{"event": {"kind": "event"}}\n')
    code = (
        f"import sys; sys.argv = ['deckwatch', *{arguments!r}]\n"
        "from app.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as exit: assert not exit.code, exit.code"
    )
    assert loaded_packages(code, WEB_PACKAGES, tmp_path) == ""
