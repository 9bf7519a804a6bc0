"""A checkout sets itself up: the locks bind it to no place, the launchers trust only a stamp.

The launchers run on a small copy of the checkout, with a stand-in for uv on PATH. It makes real
environments, installs nothing, and writes down what it was asked.
"""

import importlib.metadata
import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
DEBIANS_PYTHON = Path("/usr/bin/python3")

UV = """\
#!/bin/sh
echo "$*" >> "$CALLS"
case "$1 $2" in
"--version ") echo "uv 99.0.0 (a stand-in)" ;;
"venv --python")
    mkdir -p "$4/bin" "$4/lib/python$($3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')/site-packages"
    ln -s "$3" "$4/bin/python"
    echo "home = $(dirname "$3")" > "$4/pyvenv.cfg" ;;
"pip sync")
    touch "$CALLS.syncing"
    for moment in $(seq 200); do if [ -e "$CALLS.hold" ]; then sleep 0.05; fi; done
    if [ -e "$CALLS.fail" ]; then echo "the network is away"; exit 2; fi ;;
esac
"""  # noqa: E501

COMMAND = """\
import importlib.metadata, sys

def main():
    print(importlib.metadata.version("pullse"), __file__, *sys.argv[1:])
"""


class Trial:
    """A copy of the checkout that a test may start, move and break."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "a checkout"
        self.calls = folder / "calls"
        self.calls.touch()
        (folder / "bin").mkdir()
        (folder / "bin/uv").write_text(UV)
        (folder / "bin/uv").chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
        }
        for name in ("bin", "locks"):
            shutil.copytree(CHECKOUT / name, self.checkout / name)
        shutil.copy(CHECKOUT / "pyproject.toml", self.checkout)
        (self.checkout / "pullse").mkdir()
        (self.checkout / "pullse/cli.py").write_text(COMMAND)

    def start(self, *arguments: str, python: str = sys.executable) -> subprocess.Popen[str]:
        isolated = [python, "-I", str(self.checkout / "bin/dev"), *arguments]
        return subprocess.Popen(
            isolated,
            cwd="/",
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dev(self, *arguments: str, python: str = sys.executable) -> str:
        process = self.start(*arguments, python=python)
        out, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
        return out

    def asked(self, what: str) -> int:
        """How often uv was asked for this since the last time."""
        count = self.calls.read_text().count(what)
        self.calls.write_text("")
        return count

    def switch(self, name: str, on: bool) -> None:
        flag = self.calls.with_suffix(f".{name}")
        flag.touch() if on else flag.unlink(missing_ok=True)

    def wait_until_syncing(self) -> None:
        deadline = time.monotonic() + 10
        while not self.calls.with_suffix(".syncing").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def first_complaint(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


# The launchers


def test_the_first_start_makes_the_environment_and_the_second_leaves_it_alone(trial: Trial) -> None:
    version = importlib.metadata.version("pullse")
    command = trial.checkout / "pullse/cli.py"
    assert trial.dev("--port", "0") == f"{version} {command} dev --port 0\n"
    assert trial.asked("pip sync") == 1
    trial.dev()
    assert trial.calls.read_text() == ""


@pytest.mark.skipif(not DEBIANS_PYTHON.exists(), reason="there is no /usr/bin/python3")
def test_debians_own_python_is_enough(trial: Trial) -> None:
    probe = [str(DEBIANS_PYTHON), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if subprocess.run(probe, check=False).returncode:
        pytest.skip("it is too old")
    assert "dev" in trial.dev(python=str(DEBIANS_PYTHON))
    assert (trial.checkout / ".venv/bin/python").resolve() == DEBIANS_PYTHON.resolve()


def test_an_older_python_is_told_so_in_one_line(trial: Trial) -> None:
    older = "import runpy, sys; sys.version_info = (3, 10, 1); sys.version = '3.10.1 (main)'; "
    told = subprocess.run(
        [sys.executable, "-c", f"{older} runpy.run_path({str(trial.checkout / 'bin/dev')!r})"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert told.stderr == "pullse needs Python 3.11 or newer; this is 3.10.1.\n"


def test_a_changed_lock_is_synced_into_the_same_environment(trial: Trial) -> None:
    trial.dev()
    trial.asked("")
    with (trial.checkout / "locks/run.txt").open("a") as lock:
        lock.write("# changed\n")
    trial.dev()
    assert (trial.asked("pip sync"), trial.asked("venv")) == (1, 0)


def test_an_environment_for_tests_is_enough_to_serve(trial: Trial) -> None:
    sync = "import environment; environment.sync('test')"
    subprocess.run(
        [sys.executable, "-c", sync],
        cwd=trial.checkout / "bin",
        env=trial.environment,
        capture_output=True,
        check=True,
    )
    assert trial.asked("locks/test.txt") == 1
    trial.dev()
    assert trial.asked("pip sync") == 0


def test_a_moved_checkout_gets_a_new_environment(trial: Trial) -> None:
    trial.dev()
    trial.asked("")
    trial.checkout = trial.checkout.rename(trial.checkout.with_name("elsewhere"))
    assert str(trial.checkout) in trial.dev()
    assert trial.asked("--python") == 2


def test_two_at_once_make_one_environment(trial: Trial) -> None:
    trial.switch("hold", on=True)
    one = trial.start("one")
    trial.wait_until_syncing()
    two = trial.start("two")
    assert "waiting for another set-up" in first_complaint(two)
    trial.switch("hold", on=False)
    both = [process.communicate(timeout=30)[0].split()[-1] for process in (one, two)]
    assert both == ["one", "two"]
    assert trial.asked("pip sync") == 1


def test_a_kill_in_the_middle_is_repaired_when_its_uv_has_ended(trial: Trial) -> None:
    trial.switch("hold", on=True)
    killed = trial.start()
    trial.wait_until_syncing()
    killed.kill()
    killed.wait(timeout=30)
    trial.asked("")
    after = trial.start("after")
    assert "waiting for another set-up" in first_complaint(after)
    trial.switch("hold", on=False)
    assert after.communicate(timeout=30)[0].endswith("dev after\n")
    killed.communicate(timeout=30)
    assert trial.asked("venv --python") == 1


def test_a_failure_shows_what_uv_said_and_what_to_do(trial: Trial) -> None:
    trial.switch("fail", on=True)
    process = trial.start()
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the network is away" in error
    assert "Run the same command again" in error
    assert "Traceback" not in error
    trial.switch("fail", on=False)
    assert trial.dev()


def test_the_callers_folder_is_not_importable(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "pullse").mkdir()
    (tmp_path / "pullse/cli.py").write_text("raise SystemExit('not this one')")
    trial.dev()
    command = [str(trial.checkout / ".venv/bin/pullse"), "dev"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(trial.checkout) in answer.stdout


# The locks

find_problems: Callable[[Path], list[str]]
find_problems = runpy.run_path(str(CHECKOUT / "bin/check_locks.py"))["find_problems"]


def test_the_locks_are_sound() -> None:
    assert find_problems(CHECKOUT) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("locks/run.txt", "", "--index-url elsewhere\n", "no address belongs here"),
        ("locks/run.txt", "", "--find-links ./wheels\n", "no address belongs here"),
        ("locks/uv.txt", "uv==", "uv @ file://uv.whl # uv==", "no address belongs here"),
        ("locks/test.txt", "click==", "click==9.", "locks/test.txt: click is not as in"),
        ("locks/bench.txt", "\nclick==", "\nclack==", "locks/bench.txt: does not satisfy click"),
        ("pyproject.toml", '"click>=8.1"', '"click>=800"', "locks/run.txt: does not satisfy click"),
        ("pyproject.toml", '"pytest",', '"pytest", "another",', "does not satisfy another"),
        ("locks/run.txt", "click==8", "click==8 \\\n# 8", "click has no hash"),
    ],
)
def test_an_unsound_lock_is_named(
    tmp_path: Path, file: str, old: str, new: str, problem: str
) -> None:
    shutil.copytree(CHECKOUT / "locks", tmp_path / "locks")
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    assert problem in "\n".join(find_problems(tmp_path))
