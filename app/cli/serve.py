"""The commands that start a server: `deckwatch serve` and `deckwatch demo`."""

import gc
from typing import Annotated

import typer

from app import __version__
from app.cli.common import (
    MAX_PROBLEMS_PRINTED,
    echo_stderr,
    problem_count_message,
    report_errors,
)


@report_errors
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of worker processes.")] = 1,
) -> None:
    """Migrate the database if needed, then serve until SIGTERM or Ctrl-C."""
    # Garbage collection takes a tenth of the startup time and frees almost nothing. `app.server` enables it
    # again before the server accepts requests.
    gc.disable()
    from app import logs, server
    from app.bootstrap import create_first_admin_link, load_configured_rules, open_migrated_database
    from app.clock import utc_now
    from app.main import create_app
    from app.settings import load_or_create_secret_key, read_settings, with_default_base_url

    sockets = server.open_worker_sockets(workers, host, port)
    settings = with_default_base_url(read_settings(), host, sockets[0].getsockname()[1])
    load_or_create_secret_key(settings)
    loaded = load_configured_rules(settings.rules)
    for problem in loaded.problems[:MAX_PROBLEMS_PRINTED]:
        echo_stderr(str(problem))
    if loaded.problems:
        echo_stderr(problem_count_message(len(loaded.problems)))
    database = open_migrated_database(settings, on_migrated=echo_stderr)
    link = create_first_admin_link(database, settings, at=utc_now())
    database.close()
    if link is not None:
        echo_stderr(
            f"There are no users yet. Create the first admin with this one-time link:\n  {link}"
        )
    echo_stderr(f"Deckwatch {__version__} on {settings.base_url}")
    logs.configure_logging(settings.log_format)
    if workers == 1:
        server.run(create_app(settings, rules=loaded), sockets[0])
    else:
        server.run_workers("app.main:create_app_from_environment", sockets)


@report_errors
def demo(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Serve a temporary database with a day of sample events; the database is deleted on exit."""
    from app.demo.run import run_demo

    run_demo(port, echo=lambda text: print(text, flush=True))
