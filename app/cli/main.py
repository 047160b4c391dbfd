"""The `deckwatch` command line, assembled from the command groups.

Each command imports the modules that it needs inside its function, so that starting a command loads only
the dependencies of that command. Only `serve` and `demo` load the web framework.
"""

from typing import Annotated

import typer

from app import __version__
from app.cli.api_keys import key_commands
from app.cli.database import db_commands
from app.cli.explain import explain
from app.cli.replay import replay
from app.cli.rules import rules_commands
from app.cli.serve import demo, serve
from app.cli.users import user_commands

app = typer.Typer(
    name="deckwatch",
    help="A web dashboard for SSH in containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(user_commands, name="user")
app.add_typer(key_commands, name="key")
app.add_typer(rules_commands, name="rules")
app.add_typer(db_commands, name="db")
for command in (serve, demo, replay, explain):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _print_version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"deckwatch {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; the entry point of the installed `deckwatch` script."""
    app()
