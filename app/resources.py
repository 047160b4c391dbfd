"""Paths of bundled files. They are beside the package in a checkout, and inside the package in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource_dir(name: str) -> Path:
    """Return the path of a bundled folder; `name` is "templates", "static" or "migrations"."""
    packaged = _PACKAGE / "resources" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def bundled_rules_dir() -> Path:
    """Return the folder of the rules that ship with Deckwatch."""
    return _PACKAGE / "detection" / "rules"


def rule_file_label(path: Path) -> str:
    """Return the file name of a bundled rule file, or the path of any other rule file."""
    return path.name if path.is_relative_to(bundled_rules_dir()) else str(path)
