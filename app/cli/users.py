"""The commands about users: `deckwatch user`."""

import getpass
import sys
from typing import Annotated

import typer

from app.cli.common import echo_stderr, report_errors
from app.domain.errors import FatalError
from app.domain.principal import CLI_PRINCIPAL, Role

user_commands = typer.Typer(help="Users of the web interface.", no_args_is_help=True)


@user_commands.command("create")
@report_errors
def user_create(
    name: Annotated[str, typer.Argument(help="The user name.")],
    role: Annotated[str, typer.Option(help="analyst or admin.")],
) -> None:
    """Create a user.

    The password is read from a prompt, or from the first line of stdin if stdin is not a terminal.
    """
    from app.actions import users
    from app.actions.credentials import validate_name
    from app.bootstrap import open_migrated_database
    from app.clock import utc_now
    from app.settings import read_settings

    if role not in (Role.ANALYST, Role.ADMIN):
        raise typer.BadParameter("analyst or admin", param_hint="--role")
    validate_name(name)
    password = _read_password()
    database = open_migrated_database(read_settings(), on_migrated=echo_stderr)
    users.create_user(
        database, name, Role(role), password=password, principal=CLI_PRINCIPAL, at=utc_now()
    )
    echo_stderr(f"Created {role} {name}.")


def _read_password() -> str:
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            # Browsers send UTF-8, so this password could never be entered at sign-in.
            raise FatalError("The password is not valid UTF-8.") from None
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat password: ") != password:
        raise FatalError("The two passwords do not match.")
    return password
