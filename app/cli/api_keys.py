"""The commands about API keys: `deckwatch key`."""

from typing import Annotated

import typer

from app.cli.common import echo_stderr, report_errors
from app.domain.principal import CLI_PRINCIPAL, Role

key_commands = typer.Typer(help="API keys of agents and scripts.", no_args_is_help=True)


@key_commands.command("create")
@report_errors
def key_create(
    name: Annotated[str, typer.Argument(help="Where the key is used, such as fleet-eu.")],
    role: Annotated[str, typer.Option(help="agent, analyst or admin.")],
) -> None:
    """Create an API key and print it once; only its hash is stored."""
    from app.actions import api_keys
    from app.bootstrap import open_migrated_database
    from app.clock import utc_now
    from app.settings import read_settings

    if role not in list(Role):
        raise typer.BadParameter("agent, analyst or admin", param_hint="--role")
    database = open_migrated_database(read_settings(), on_migrated=echo_stderr)
    _, text = api_keys.create(database, name, Role(role), principal=CLI_PRINCIPAL, at=utc_now())
    typer.echo(text)


@key_commands.command("list")
@report_errors
def key_list() -> None:
    """List all API keys: name, role, last four characters, creation and revocation date."""
    from app.bootstrap import open_migrated_database
    from app.settings import read_settings
    from app.store import api_keys

    database = open_migrated_database(read_settings(), on_migrated=echo_stderr)
    with database.read() as session:
        keys = api_keys.list_all(session)
    if not keys:
        echo_stderr(
            "There are no API keys. Create one with: deckwatch key create NAME --role agent"
        )
    for key in keys:
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "live"
        typer.echo(f"{key.name}\t{key.role}\t…{key.hint}\t{key.created_at:%Y-%m-%d}\t{state}")


@key_commands.command("revoke")
@report_errors
def key_revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """Revoke an API key; a running server refuses the key within a second."""
    from app.actions import api_keys
    from app.bootstrap import open_migrated_database
    from app.clock import utc_now
    from app.settings import read_settings

    database = open_migrated_database(read_settings(), on_migrated=echo_stderr)
    api_keys.revoke(database, name, principal=CLI_PRINCIPAL, at=utc_now())
    echo_stderr(f"Revoked {name}.")
