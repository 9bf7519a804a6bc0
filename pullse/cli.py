"""The command `pullse`: each command is a few lines that call what does the work."""

import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import uvloop

from pullse import __version__, app, demo, server, settings
from pullse.access import audit_commands, link_commands
from pullse.access import commands as token_commands
from pullse.agents import commands as agent_commands
from pullse.agents.model import AgentChanges, Role
from pullse.errors import Refusal
from pullse.gateway import commands as key_commands
from pullse.gateway.keys import DEV_KEY, DevKey
from pullse.kit import events, jobs, logs, migrate
from pullse.kit.db import Database, open_database
from pullse.kit.guard import BearerToken, LocalOwner
from pullse.kit.postgres import Unavailable
from pullse.kit.secret import Secret, WrongSecret
from pullse.operations import backup, doctor, reaching
from pullse.server import PortTaken, Process
from pullse.settings import Settings
from pullse.store import Store, opened

TROUBLE = (
    *(settings.Wrong, Unavailable, PortTaken, migrate.Broken, Refusal, backup.Failed),
    WrongSecret,
)

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the embedded database is kept.",
)
port_option = click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.")
demo_option = click.option("--demo", "with_demo", is_flag=True, help="Load a small story first.")


class Commands(click.Group):
    """Trouble that has a sentence is said as that sentence, without a trace."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except TROUBLE as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="pullse")
def main() -> None:
    """A help desk on PostgreSQL alone."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@port_option
@data_dir_option
@demo_option
def dev(host: str, port: int | None, data_dir: Path | None, with_demo: bool) -> None:
    """Serve on this machine alone: no login, the embedded database unless DATABASE_URL is set."""
    if not is_loopback(host):
        raise click.ClickException(
            f"pullse dev has no login and binds loopback addresses only, not {host}; "
            "for other machines there is pullse serve."
        )
    found = read_settings(data_dir)
    bound = server.bind(host, found.port if port is None else port)
    with bound, opened(found) as store:
        prepare(store, found, with_demo=with_demo)
        announce = lambda: say_start(bound, store, found, DEV_KEY)  # noqa: E731
        server.run(Process(found, store.url, LocalOwner(), DEV_KEY, announce=announce), bound)


@main.command()
@click.option("--host", default="0.0.0.0", show_default=True)  # noqa: S104 -- that is its purpose
@port_option
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@data_dir_option
@demo_option
def serve(
    host: str, port: int | None, workers: int, data_dir: Path | None, with_demo: bool
) -> None:
    """Serve a team: any host, every call carries PULLSE_API_TOKEN as a Bearer token."""
    found = read_settings(data_dir)
    guard = token_guard(found)
    bound = server.bind(host, found.port if port is None else port)
    with bound, opened(found) as store:
        prepare(store, found, with_demo=with_demo)
        link = uvloop.run(link_of_setup(store, found, pages_at(found, bound)))
        announce = lambda: say_start(bound, store, found, link=link)  # noqa: E731
        process = Process(found, store.url, guard, announce=announce)
        if workers == 1:
            server.run(process, bound)
        else:
            process.announce()
            environment = {"PULLSE_WORKER_DATABASE_URL": store.url}
            environment["PULLSE_SECRET"] = Secret.of(found).value  # workers know no data folder
            server.keep_workers(workers, bound, environment)


@main.command()
@click.option("--sandbox", is_flag=True, help="Needed: there is no other use.")
@port_option
def gateway(sandbox: bool, port: int | None) -> None:
    """Serve throw-away applications to the test suites of Ably's SDKs, on this machine alone."""
    if not sandbox:
        raise click.UsageError("The gateway is part of pullse dev and pullse serve; see --sandbox.")
    with tempfile.TemporaryDirectory(prefix="pullse-sandbox-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may run as another user
        found = read_settings(Path(folder))
        found = dataclasses.replace(found, database_url=None, database_direct_url=None, ably=None)
        bound = server.bind("127.0.0.1", found.port if port is None else port)
        with bound, opened(found) as store:
            prepare(store, found)
            announce = lambda: say_start(bound, store, found)  # noqa: E731
            process = Process(found, store.url, LocalOwner(), has_sandbox=True, announce=announce)
            server.run(process, bound)


@main.command(hidden=True)
@click.argument("socket_fd", type=int)
@click.argument("pipe_fd", type=int)
def worker(socket_fd: int, pipe_fd: int) -> None:
    """One of the processes of `serve --workers`; started by it."""
    url = os.environ.pop("PULLSE_WORKER_DATABASE_URL")
    found = read_settings(None)
    server.run_worker(Process(found, url, token_guard(found)), socket_fd, pipe_fd)


@main.command()
@data_dir_option
def work(data_dir: Path | None) -> None:
    """Run jobs and the forwarder to Ably alone, without HTTP."""
    found = read_settings(data_dir)
    with opened(found, beside=True) as store:
        prepare(store, found)
        announce = lambda: click.echo(f"pullse {__version__} works on {store.shown}")  # noqa: E731
        uvloop.run(server.work(Process(found, store.url, LocalOwner(), announce=announce)))


@main.command("migrate")
@data_dir_option
def migrate_command(data_dir: Path | None) -> None:
    """Bring the database to this version's schema."""
    found = read_settings(data_dir)
    with opened(found, beside=True) as store:
        names = prepare(store, found)
        click.echo("\n".join(f"ran {name}" for name in names) or "The schema is up to date.")


@main.command("demo")
@data_dir_option
def demo_command(data_dir: Path | None) -> None:
    """Load a small story of tickets and agents into an empty database."""
    with database_of(data_dir) as (database, run):
        loaded = run(demo.load(database))
        click.echo("The story is loaded." if loaded else "There are tickets already: nothing done.")


@main.command("doctor")
@data_dir_option
def doctor_command(data_dir: Path | None) -> None:
    """Check what pullse needs, and say what to do where something is missing."""
    found = read_settings(data_dir)
    findings = asyncio.run(doctor.examine(found))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.is_well else 'BAD '} {finding.what}: {finding.text}")
        if finding.remedy:
            click.echo(f"       → {finding.remedy}")
    if not all(finding.is_well for finding in findings):
        sys.exit(1)


@main.command()
def routes() -> None:
    """List all calls of the API."""
    width = max(len(call.path) for call in app.calls) + 2
    for call in sorted(app.calls, key=lambda each: (each.path, each.method)):
        click.echo(f"{call.method:<7}{call.path:<{width}}{call.summary}")


@main.command("events")
@click.option("--follow", is_flag=True, help="Go on with those to come, until stopped.")
@click.option("--after", help="A cursor of the feed; without one, all.")
@data_dir_option
def events_command(follow: bool, after: str | None, data_dir: Path | None) -> None:
    """Print the facts, one JSON object a line."""
    with database_of(data_dir) as (database, run), contextlib.suppress(KeyboardInterrupt):
        run(print_events(database, after, follow=follow))


async def print_events(database: Database, after: str | None, *, follow: bool) -> None:
    async with database.session() as db:
        newest = await events.end(db)
    place = events.START if after is None else events.place_of(after, newest)
    while True:
        async with database.session() as db:
            facts = await events.since(db, place)
        for fact in facts:
            cursor = events.cursor(newest.epoch, fact.place)
            click.echo(f'{{"cursor":"{cursor}",{fact.body[1:]}')
            place = fact.place
        if not facts:
            if not follow:
                return
            await asyncio.sleep(0.25)


@main.command("jobs")
@click.option(
    "--retry",
    type=click.IntRange(1, (1 << 63) - 1),
    metavar="ID",
    help="Run a dead or waiting job again now.",
)
@click.option("--schedule", "show_schedule", is_flag=True, help="What runs by the clock.")
@data_dir_option
def jobs_command(retry: int | None, show_schedule: bool, data_dir: Path | None) -> None:
    """List jobs that wait, run or are dead."""
    if show_schedule:
        for every in app.schedule:
            click.echo(f"every {every.seconds} s  {every.job.name}")
        return
    with database_of(data_dir) as (database, run):
        if retry is not None:
            if not run(with_session(database, lambda db: jobs.retry(db, retry))):
                raise click.ClickException(f"There is no waiting or dead job {retry}.")
            click.echo(f"Job {retry} is due now.")
            return
        found = run(with_session(database, jobs.listed))
        for each in found:
            click.echo(f"{each.id:>8}  {each.state:<8} {each.name:<28} {each.args}")
            if each.error:
                click.echo(f"          after {each.attempts} attempts: {each.error}")
        if not found:
            click.echo("No jobs wait.")


@main.group("keys")
def keys_group() -> None:
    """Keys of the built-in gateway, for Ably's clients (docs/realtime.md)."""


@keys_group.command("create")
@click.option("--capability", default=key_commands.FULL, show_default=True, metavar="JSON")
@click.option("--note", default="", help="What it is for; shown in the list.")
@click.option("--revocable", is_flag=True, help="Its tokens can be revoked; they last an hour.")
@data_dir_option
def create_key(capability: str, note: str, revocable: bool, data_dir: Path | None) -> None:
    """Make a key and print it, this once."""
    with database_of(data_dir) as (database, run):
        secret = Secret.of(read_settings(data_dir))
        made = key_commands.create(database, secret, capability, note, is_revocable=revocable)
        click.echo(run(made))


@keys_group.command("list")
@data_dir_option
def list_keys(data_dir: Path | None) -> None:
    """List all keys, without their secrets."""
    with database_of(data_dir) as (database, run):
        click.echo(run(key_commands.show(database)))


@keys_group.command("revoke")
@click.argument("name")
@data_dir_option
def revoke_key(name: str, data_dir: Path | None) -> None:
    """Make a key and its tokens void, for good."""
    with database_of(data_dir) as (database, run):
        click.echo(run(key_commands.revoke(database, name)))


@keys_group.command("reset")
@click.confirmation_option(prompt="This revokes all keys. Go on?")
@data_dir_option
def reset_keys(data_dir: Path | None) -> None:
    """Begin anew with another secret, when the first one is lost."""
    with database_of(data_dir) as (database, run):
        click.echo(run(key_commands.reset(database, Secret.of(read_settings(data_dir)))))


@main.group("agents")
def agents_group() -> None:
    """Agents, for the operator who is locked out; needs the database, no login."""


@agents_group.command("list")
@data_dir_option
def list_agents(data_dir: Path | None) -> None:
    """List all agents with their state and role."""
    with database_of(data_dir) as (database, run):
        click.echo(run(agent_commands.show(database)))


@agents_group.command("disable")
@click.argument("email")
@data_dir_option
def disable_agent(email: str, data_dir: Path | None) -> None:
    """Let an agent do nothing any more, also the last owner."""
    with database_of(data_dir) as (database, run):
        click.echo(run(agent_commands.change(database, email, AgentChanges(state="disabled"))))


@agents_group.command("enable")
@click.argument("email")
@data_dir_option
def enable_agent(email: str, data_dir: Path | None) -> None:
    """Make an agent active, who was disabled or only invited."""
    with database_of(data_dir) as (database, run):
        click.echo(run(agent_commands.change(database, email, AgentChanges(state="active"))))


@agents_group.command("role")
@click.argument("email")
@click.argument("role", type=click.Choice([each.value for each in Role]))
@data_dir_option
def set_role(email: str, role: str, data_dir: Path | None) -> None:
    """Give an agent another role."""
    with database_of(data_dir) as (database, run):
        click.echo(run(agent_commands.change(database, email, AgentChanges(role=Role(role)))))


@agents_group.command("invite")
@click.argument("email")
@click.option("--name", help="Without it, what stands before the @.")
@click.option(
    "--role", type=click.Choice([each.value for each in Role]), default="agent", show_default=True
)
@data_dir_option
def invite_agent(email: str, name: str | None, role: str, data_dir: Path | None) -> None:
    """Make an agent, if there is none, and print a link to sign in for the first time by."""
    new = link_commands.new_agent(email, name, role)
    with database_of(data_dir) as (database, run):
        click.echo(run(link_commands.invite(database, new, pages_at(read_settings(data_dir)))))


@agents_group.command("reset")
@click.argument("email")
@click.option("--without-totp", is_flag=True, help="Remove the second factor too.")
@click.option("--without-passkeys", is_flag=True, help="Remove all passkeys too.")
@data_dir_option
def reset_agent(
    email: str, without_totp: bool, without_passkeys: bool, data_dir: Path | None
) -> None:
    """Print a link by which an agent sets another password, this once."""
    with database_of(data_dir) as (database, run):
        base = pages_at(read_settings(data_dir))
        said = link_commands.reset(
            database, email, base, without_totp=without_totp, without_passkeys=without_passkeys
        )
        click.echo(run(said))


@main.command("setup")
@data_dir_option
def setup_command(data_dir: Path | None) -> None:
    """Print a link that makes the first owner, this once, as the first start of serve does."""
    with database_of(data_dir) as (database, run):
        link = run(link_commands.set_up(database, pages_at(read_settings(data_dir))))
        if link is None:
            raise click.ClickException("There is an owner already, who can invite others.")
        click.echo(link)


@main.group("tokens")
def tokens_group() -> None:
    """API tokens, for programs (docs/api/tokens.md)."""


@tokens_group.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice([each.value for each in Role]), help="Of a service.")
@click.option("--agent", metavar="EMAIL", help="Whose it is, if no service's.")
@click.option("--scope", "scopes", multiple=True, help="A permission; several times for more.")
@click.option("--days", type=click.IntRange(1, 3650), help="Without it, for good.")
@data_dir_option
def create_token(
    name: str,
    role: str | None,
    agent: str | None,
    scopes: tuple[str, ...],
    days: int | None,
    data_dir: Path | None,
) -> None:
    """Make a token and print it, this once."""
    with database_of(data_dir) as (database, run):
        made = token_commands.create(
            database, name, role=role, email=agent, scopes=scopes, days=days
        )
        click.echo(run(made))


@tokens_group.command("list")
@data_dir_option
def list_tokens(data_dir: Path | None) -> None:
    """List all tokens, without what opens."""
    with database_of(data_dir) as (database, run):
        click.echo(run(token_commands.show(database)))


@tokens_group.command("revoke")
@click.argument("token_id", metavar="ID", type=click.UUID)
@data_dir_option
def revoke_token(token_id: UUID, data_dir: Path | None) -> None:
    """Make a token void, for good."""
    with database_of(data_dir) as (database, run):
        click.echo(run(token_commands.revoke(database, token_id)))


@main.command()
def roles() -> None:
    """Show what each role may do."""
    click.echo(token_commands.table())


@main.group("audit")
def audit_group() -> None:
    """The audit trail (docs/api/audit.md)."""


@audit_group.command("verify")
@click.option("--expect", metavar="HASH", help="One that was printed before and kept elsewhere.")
@data_dir_option
def verify_audit(expect: str | None, data_dir: Path | None) -> None:
    """Find rows that were edited or removed; exit code 1 if there are any."""
    with database_of(data_dir) as (database, run):
        verdict = run(audit_commands.verify(database, expect))
        click.echo(audit_commands.in_words(verdict))
    if verdict.findings:
        sys.exit(1)


@main.command()
def openapi() -> None:
    """Print the OpenAPI description of the API."""
    click.echo(json.dumps(json.loads(app.described(has_token=True)), indent=2))


@main.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_dir_option
def backup_command(file: Path, data_dir: Path | None) -> None:
    """Write the whole database to FILE, with pg_dump; pullse may go on running."""
    found = read_settings(data_dir)
    with opened(found, beside=True) as store:
        backup.dump(store, found, file)
        size = file.stat().st_size
        click.echo(f"Wrote {file} ({size:,} bytes).")
        try:
            asyncio.run(backup.note(store, found, size))
        except Refusal as error:
            click.echo(f"It is not in the audit trail: {error}", err=True)


@main.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace what is in the database.")
@data_dir_option
def restore_command(file: Path, force: bool, data_dir: Path | None) -> None:
    """Read FILE back into an empty database (or, with --force, over what is there)."""
    found = read_settings(data_dir)
    with opened(found) as store:
        backup.restore(store, found, file, force=force)
        prepare(store, found)
        click.echo("The database is restored. Clients of the feed will be told to start over.")


def read_settings(data_dir: Path | None) -> Settings:
    found = settings.load()
    logs.set_up(found.log_format, found.log_level)
    return dataclasses.replace(found, data_dir=data_dir.absolute()) if data_dir else found


def token_guard(found: Settings) -> BearerToken:
    if found.api_token is None:
        raise settings.Wrong(
            "pullse serve answers only those who know a token, and none is set. Set "
            f"PULLSE_API_TOKEN, for example to {secrets.token_urlsafe(32)}"
        )
    return BearerToken(
        found.api_token,
        hosts=frozenset(each.encode() for each in found.hosts),
        origins=frozenset(each.encode() for each in found.origins),
    )


def prepare(store: Store, found: Settings, *, with_demo: bool = False) -> list[str]:
    """Migrate, mend the feed after a move of the data, load the story; say what was migrated."""
    return uvloop.run(_prepare(store, found, with_demo=with_demo))


async def _prepare(store: Store, found: Settings, *, with_demo: bool) -> list[str]:
    try:
        database = await open_database(store.url, direct_url=found.database_direct_url, size=2)
    except Refusal as error:
        raise reaching.explained(error) from error
    try:
        names = await migrate.migrate(database)
        async with database.transaction() as db:
            await events.mend_after_move(db)
        if with_demo:
            await demo.load(database)
        return names
    finally:
        await database.close()


async def link_of_setup(store: Store, found: Settings, base: str) -> str | None:
    """None when there is an owner."""
    database = await open_database(store.url, direct_url=found.database_direct_url, size=1)
    try:
        return await link_commands.set_up(database, base)
    finally:
        await database.close()


@contextmanager
def database_of(data_dir: Path | None) -> Iterator[tuple[Database, Any]]:
    """The migrated database of a running or a started pullse, and a way to run coroutines on it."""
    found = read_settings(data_dir)
    with opened(found, beside=True) as store, asyncio.Runner() as runner:
        runner.run(_prepare(store, found, with_demo=False))
        database = runner.run(open_database(store.url, direct_url=found.database_direct_url))
        try:
            yield database, runner.run
        finally:
            runner.run(database.close())


async def with_session(database: Database, query: Any) -> Any:
    async with database.session() as db:
        return await query(db)


def say_start(
    bound: Any,
    store: Store,
    found: Settings,
    dev_key: DevKey | None = None,
    link: str | None = None,
) -> None:
    base = bound_at(bound)
    push = "Ably" if found.ably else "the built-in gateway, for Ably's clients (docs/realtime.md)"
    if dev_key is not None and not found.ably:
        push += f"\n  its key    {dev_key.text} (of pullse dev alone)"
    click.echo(
        f"pullse {__version__} serves on {base}\n"
        f"  database   {store.shown}\n"
        f"  real time  {push}\n"
        f"  API        {base}/api/openapi.json\n"
        f"  pages      {base}/"
    )
    if link is not None:
        click.echo(f"\nThere is no owner yet.\n{link}")
    sys.stdout.flush()


def bound_at(bound: Any) -> str:
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def pages_at(found: Settings, bound: Any = None) -> str:
    """
    Where browsers find the pages, as far as it can be known here: at the first name that this
    server answers to, with TLS if there is a proxy before it.
    """
    port = found.port if bound is None else bound.getsockname()[1]
    if found.hosts and found.proxies:
        return f"https://{found.hosts[0]}"
    if found.hosts:
        return f"http://{found.hosts[0]}:{port}"
    return f"http://127.0.0.1:{port}" if bound is None else bound_at(bound)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
