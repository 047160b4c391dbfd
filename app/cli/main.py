"""The command line; each command is a few lines over the rooms below."""

import gc
import getpass
import sys
from typing import Annotated

import typer

from app import __version__
from app.cli.common import echo_stderr, report_errors, selected_rules
from app.cli.database import db_commands
from app.cli.replay import replay
from app.cli.rules import MAX_PROBLEMS_PRINTED, rules_commands
from app.domain.errors import FatalError
from app.domain.principal import CLI_PRINCIPAL, Role

app = typer.Typer(
    name="deckwatch",
    help="A web dashboard for SSH in containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
user_commands = typer.Typer(help="People who may sign in.", no_args_is_help=True)
key_commands = typer.Typer(help="Keys that programs present.", no_args_is_help=True)
app.add_typer(user_commands, name="user")
app.add_typer(key_commands, name="key")
app.add_typer(rules_commands, name="rules")
app.add_typer(db_commands, name="db")


@app.command()
@report_errors
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes to serve with.")] = 1,
) -> None:
    """Migrate the database when needed, then serve until told to stop."""
    # Until it serves next to nothing is garbage, and looking for some takes a tenth of a start.
    gc.disable()
    from app import logs, server
    from app.bootstrap import create_first_admin_link, load_configured_rules, open_migrated_database
    from app.clock import utc_now
    from app.main import create_app
    from app.settings import load_or_create_secret_key, read_settings, with_default_base_url

    bound = server.open_worker_sockets(workers, host, port)
    settings = with_default_base_url(read_settings(), host, bound[0].getsockname()[1])
    load_or_create_secret_key(settings)
    loaded = load_configured_rules(settings.rules)
    problems = loaded.problems
    for problem in problems[:MAX_PROBLEMS_PRINTED]:
        echo_stderr(str(problem))
    if problems:
        echo_stderr(f"{len(problems)} problems in rule files; all of them: deckwatch rules check")
    database = open_migrated_database(settings, on_migrated=echo_stderr)
    link = create_first_admin_link(database, settings, at=utc_now())
    database.close()
    if link is not None:
        echo_stderr(f"Nobody can sign in yet. Set up the first admin, once, at:\n  {link}")
    echo_stderr(f"Deckwatch {__version__} on {settings.base_url}")
    logs.configure_logging(settings.log_format)
    if workers == 1:
        server.run(create_app(settings, rules=loaded), bound[0])
    else:
        server.run_workers("app.main:create_app_from_environment", bound)


@app.command()
@report_errors
def demo(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """A running Deckwatch with a day of events in it; everything goes when it ends."""
    from app.demo.run import run_demo

    run_demo(port, echo=lambda text: print(text, flush=True))


@user_commands.command("create")
@report_errors
def user_create(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    role: Annotated[str, typer.Option(help="analyst or admin.")],
) -> None:
    """Create a person; the password is asked for, or read from the first line of stdin."""
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
    echo_stderr(f"Created {name}, {role}.")


def _read_password() -> str:
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            # A browser sends UTF-8, so nobody could ever sign in with it.
            raise FatalError("The password is not UTF-8 text.") from None
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat password: ") != password:
        raise FatalError("The two passwords do not match.")
    return password


@key_commands.command("create")
@report_errors
def key_create(
    name: Annotated[str, typer.Argument(help="Where the key will live, such as fleet-eu.")],
    role: Annotated[str, typer.Option(help="agent, analyst or admin.")],
) -> None:
    """Create a key and print it, this once: only its hash is kept."""
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
    """Every key: name, role, its last four characters, when it was created or revoked."""
    from app.bootstrap import open_migrated_database
    from app.settings import read_settings
    from app.store import api_keys

    database = open_migrated_database(read_settings(), on_migrated=echo_stderr)
    with database.read() as session:
        found = api_keys.list_all(session)
    if not found:
        echo_stderr("There are no keys. Create one with: deckwatch key create NAME --role agent")
    for one in found:
        state = f"revoked {one.revoked_at:%Y-%m-%d}" if one.revoked_at else "live"
        typer.echo(f"{one.name}\t{one.role}\t…{one.hint}\t{one.created_at:%Y-%m-%d}\t{state}")


@key_commands.command("revoke")
@report_errors
def key_revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """Refuse a key from now on; a server that runs obeys within a second."""
    from app.actions import api_keys
    from app.bootstrap import open_migrated_database
    from app.clock import utc_now
    from app.settings import read_settings

    api_keys.revoke(
        open_migrated_database(read_settings(), on_migrated=echo_stderr),
        name,
        principal=CLI_PRINCIPAL,
        at=utc_now(),
    )
    echo_stderr(f"Revoked {name}.")


app.command()(replay)


@app.command()
@report_errors
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
    from app.cli import explain_output
    from app.settings import read_settings

    settings = read_settings()
    any_rejected = False
    for found in explain_output.explain_file(
        file, settings, selected_rules(settings, rule, all_rules=all_rules)
    ):
        any_rejected = any_rejected or found.rejection_reason is not None
        for line in explain_output.format_explanation(found, file):
            typer.echo(line)
    if any_rejected:
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
