"""The command line; each command is a few lines over the rooms below."""

import gc
import getpass
import sys
from typing import Annotated

import typer

from app import __version__
from app.cli_db import db
from app.cli_replay import replay
from app.cli_rules import PROBLEMS_TOLD, rules
from app.cli_shared import chosen, plain_errors, say
from app.domain.errors import Unusable
from app.domain.roles import COMMAND_LINE, Role

app = typer.Typer(
    name="deckwatch",
    help="A web dashboard for SSH in containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
user = typer.Typer(help="People who may sign in.", no_args_is_help=True)
key = typer.Typer(help="Keys that programs present.", no_args_is_help=True)
app.add_typer(user, name="user")
app.add_typer(key, name="key")
app.add_typer(rules, name="rules")
app.add_typer(db, name="db")


@app.command()
@plain_errors
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes to serve with.")] = 1,
) -> None:
    """Migrate the database when needed, then serve until told to stop."""
    # Until it serves next to nothing is garbage, and looking for some takes a tenth of a start.
    gc.disable()
    from app import logs, server
    from app.clock import utc_now
    from app.main import create_app, rules_of
    from app.settings import read_settings, secret_key, with_address
    from app.setup import first_admin_link, opened

    bound = server.listen_for(workers, host, port)
    settings = with_address(read_settings(), host, bound[0].getsockname()[1])
    secret_key(settings)
    loaded = rules_of(settings.rules)
    problems = loaded.problems
    for problem in problems[:PROBLEMS_TOLD]:
        say(str(problem))
    if problems:
        say(f"{len(problems)} problems in rule files; all of them: deckwatch rules check")
    database = opened(settings, migrate=say)
    link = first_admin_link(database, settings, at=utc_now())
    database.close()
    if link is not None:
        say(f"Nobody can sign in yet. Set up the first admin, once, at:\n  {link}")
    say(f"Deckwatch {__version__} on {settings.base_url}")
    logs.set_up(settings.log_format)
    if workers == 1:
        server.run(create_app(settings, rules=loaded), bound[0])
    else:
        server.run_workers("app.main:create_app_from_environment", bound)


@app.command()
@plain_errors
def demo(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """A running Deckwatch with a day of events in it; everything goes when it ends."""
    from app.demo import run_demo

    run_demo(port, say=lambda text: print(text, flush=True))


@user.command("create")
@plain_errors
def user_create(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    role: Annotated[str, typer.Option(help="analyst or admin.")],
) -> None:
    """Create a person; the password is asked for, or read from the first line of stdin."""
    from app.actions import accounts
    from app.actions.credentials import checked_name
    from app.clock import utc_now
    from app.settings import read_settings
    from app.setup import opened

    if role not in (Role.ANALYST, Role.ADMIN):
        raise typer.BadParameter("analyst or admin", param_hint="--role")
    checked_name(name)
    password = _read_password()
    database = opened(read_settings(), migrate=say)
    accounts.create_user(
        database, name, Role(role), password=password, who=COMMAND_LINE, at=utc_now()
    )
    say(f"Created {name}, {role}.")


def _read_password() -> str:
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            # A browser sends UTF-8, so nobody could ever sign in with it.
            raise Unusable("The password is not UTF-8 text.") from None
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise Unusable("The two passwords do not match.")
    return password


@key.command("create")
@plain_errors
def key_create(
    name: Annotated[str, typer.Argument(help="Where the key will live, such as fleet-eu.")],
    role: Annotated[str, typer.Option(help="agent, analyst or admin.")],
) -> None:
    """Create a key and print it, this once: only its hash is kept."""
    from app.actions import keys
    from app.clock import utc_now
    from app.settings import read_settings
    from app.setup import opened

    if role not in list(Role):
        raise typer.BadParameter("agent, analyst or admin", param_hint="--role")
    database = opened(read_settings(), migrate=say)
    _, text = keys.create(database, name, Role(role), who=COMMAND_LINE, at=utc_now())
    typer.echo(text)


@key.command("list")
@plain_errors
def key_list() -> None:
    """Every key: name, role, its last four characters, when it was created or revoked."""
    from app.settings import read_settings
    from app.setup import opened
    from app.store import keys

    database = opened(read_settings(), migrate=say)
    with database.read() as session:
        found = keys.all_keys(session)
    if not found:
        say("There are no keys. Create one with: deckwatch key create NAME --role agent")
    for one in found:
        state = f"revoked {one.revoked_at:%Y-%m-%d}" if one.revoked_at else "live"
        typer.echo(f"{one.name}\t{one.role}\t…{one.hint}\t{one.created_at:%Y-%m-%d}\t{state}")


@key.command("revoke")
@plain_errors
def key_revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """Refuse a key from now on; a server that runs obeys within a second."""
    from app.actions import keys
    from app.clock import utc_now
    from app.settings import read_settings
    from app.setup import opened

    keys.revoke(opened(read_settings(), migrate=say), name, who=COMMAND_LINE, at=utc_now())
    say(f"Revoked {name}.")


app.command()(replay)


@app.command()
@plain_errors
def explain(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Events, plain, gzip or zstd; - is stdin.")
    ],
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this rule, also when disabled; may be repeated."),
    ] = None,
    all_rules: Annotated[
        bool, typer.Option("--all-rules", help="All rules, also the disabled ones.")
    ] = False,
) -> None:
    """Why events match rules, or why not: clause by clause, then the exclusions. Nothing is stored.

    Exit codes: 0 when every event could be read, 1 when not, 2 for wrong use.
    """
    from app import explaining
    from app.settings import read_settings

    settings = read_settings()
    refused = False
    for found in explaining.traces(file, settings, chosen(settings, rule, all_rules=all_rules)):
        refused = refused or found.refusal is not None
        for line in explaining.lines(found, file):
            typer.echo(line)
    if refused:
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"deckwatch {__version__}")
        raise typer.Exit


def main() -> None:
    app()
