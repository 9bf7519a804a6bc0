"""`python -m bench [PARTS] [--quick] [--write]`: run the parts, print tables and verdicts.

The exit status is 1 when a promise was missed and 2 when something could not be measured.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator

from bench import (
    access,
    explain,
    granian_or_uvicorn,
    latency,
    memory,
    realtime,
    report,
    scale,
    speed,
)
from bench.cluster import cluster
from bench.desk import feel, pages, weight
from bench.load import Failed, generator_name
from bench.report import Section

STARTED = time.monotonic()


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    options = arguments()
    say(f"load by {generator_name()}")
    sections: list[Section] = []
    failed = []
    for part in options.parts:
        try:
            for section in PARTS[part](options):
                print(f"\n{section}\n", flush=True)
                sections.append(section)
        except Failed as problem:
            print(f"\n{part} could not be measured: {problem}\n", flush=True)
            failed.append(part)
    if options.write and not failed:
        report.write_page(sections, " ".join(["bin/bench", *sys.argv[1:]]))
    return conclusion(sections, failed)


def conclusion(sections: list[Section], failed: list[str]) -> int:
    verdicts = [verdict for section in sections for verdict in section.verdicts]
    missed = [str(verdict) for verdict in verdicts if not verdict.is_kept]
    print("\n".join([*missed, f"{len(missed)} of {len(verdicts)} promises missed."]))
    if failed:
        print(f"Not measured: {', '.join(failed)}")
        return 2
    return 1 if missed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__.partition(": ")[2])
    others = ", ".join(name for name in PARTS if name not in ALL)
    parser.add_argument("parts", nargs="*", help=f"all of: {', '.join(ALL)}; or {others}")
    parser.add_argument("--quick", action="store_true", help="short runs, 60,000 tickets as many")
    parser.add_argument(
        "--write", action="store_true", help="write what ran into docs/performance.md"
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="compare real time with other gateways: npm fetches one, Debian's nchan if installed",
    )
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("--write is for whole runs: no --quick.")
    options.parts = options.parts or list(ALL)
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"There is no part {', '.join(sorted(unknown))}.")
    return options


def run_speed(options: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield speed.measure(own, seconds=2 if options.quick else 8, say=say)


def run_access(options: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield from access.measure(own, seconds=2 if options.quick else 8, say=say)


def run_servers(options: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield granian_or_uvicorn.measure(own, seconds=2 if options.quick else 5, say=say)


def run_latency(options: argparse.Namespace) -> Iterator[Section]:
    with cluster({"track_commit_timestamp": "on"}) as own:
        yield latency.measure(own, seconds=5 if options.quick else 30, say=say)


def run_realtime(options: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield from realtime.measure(
            own,
            seconds=5 if options.quick else 10,
            rounds=1 if options.quick else realtime.ROUNDS,
            many=realtime.SUBSCRIBERS if options.quick else realtime.MANY,
            with_peers=options.peers,
            say=say,
        )


def run_memory(options: argparse.Namespace) -> Iterator[Section]:
    yield memory.measure(seconds=2 if options.quick else memory.SETTLE, say=say)


def run_scale(options: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield from scale.measure(
            own,
            seconds=1 if options.quick else 2,
            searches=20 if options.quick else 100,
            many=60_000 if options.quick else scale.MANY,
            say=say,
        )


def run_desk_pages(options: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield pages.measure(
            own,
            requests=40 if options.quick else pages.REQUESTS,
            many=60_000 if options.quick else pages.MANY,
            say=say,
        )


def run_desk_weight(_: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield weight.measure(own, say=say)


def run_desk_feel(options: argparse.Namespace) -> Iterator[Section]:
    with cluster() as own:
        yield from feel.measure(
            own,
            events=1000 if options.quick else feel.EVENTS,
            changes=20 if options.quick else feel.CHANGES,
            say=say,
        )


def run_desk(options: argparse.Namespace) -> Iterator[Section]:
    for run in (run_desk_weight, run_desk_feel, run_desk_pages):
        yield from run(options)


def run_explain(options: argparse.Namespace) -> Iterator[Section]:
    with cluster(explain.OPTIONS) as own:
        explain.show(own, many=60_000 if options.quick else scale.MANY, say=say)
    yield from ()


ALL: dict[str, Callable[[argparse.Namespace], Iterator[Section]]] = {
    "speed": run_speed,
    "access": run_access,
    "servers": run_servers,
    "latency": run_latency,
    "realtime": run_realtime,
    "memory": run_memory,
    "scale": run_scale,
    "desk": run_desk,
}
PARTS = {
    **ALL,
    "desk-weight": run_desk_weight,
    "desk-feel": run_desk_feel,
    "desk-pages": run_desk_pages,
    "explain": run_explain,
}


def say(what: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.0f} s] {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
