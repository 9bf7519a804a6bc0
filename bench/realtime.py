"""
The gateway: thousands of subscribers of one channel, in one process of ours.

A message counts when the last of them has it. CPU is what the server process used for one
delivery, without what it uses at rest. All clocks are the machine's own.
"""

import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from bench import data
from bench.cluster import Base, Cluster
from bench.crowd import Crowd, crowd
from bench.gateways import nchan, ours, socket_io
from bench.gateways.model import Absent, Gateway
from bench.publisher import Moments, on_time, publisher, text
from bench.report import Section, Verdict, ms, per_second, times

SUBSCRIBERS = 2_000
MANY = 10_000
SPARE = 300
"""Files that a process needs for everything else."""
RATE = 20
BURST = 300
"""Messages that are published at once."""
ROUNDS = 3
REST = 5.0
SETTLE = 3.0
AT_ONCE = 100
PUBLISHERS = 20
IN_TURN = 2_000
"""Messages that a connection may publish at once; after that it is 1,000 a second."""
PIPELINED = PUBLISHERS * IN_TURN
LATE_MS = 150.0
CPU_US = 12.0
KILOBYTES = 20.0
MICRO = "\N{MICRO SIGN}s"


@dataclass
class Audience:
    """A gateway with its subscribers, and what was measured of both."""

    gateway: Gateway
    crowd: Crowd
    seconds: float = 0.0
    """Until all were attached."""
    kilobytes: float = 0.0
    at_rest: float = 0.0
    """Of a core."""
    from_due: list[float] = field(default_factory=list)
    from_answer: list[float] = field(default_factory=list)
    """Milliseconds until the last subscriber had a message, of all rounds."""
    cpu: list[float] = field(default_factory=list)
    """Microseconds for one delivery, by round."""

    def gather(self, count: int) -> None:
        before = self.gateway.kilobytes()
        self.seconds = self.crowd.open(count, self.gateway.way)
        time.sleep(SETTLE)
        self.kilobytes = (self.gateway.kilobytes() - before) / count
        used = self.gateway.cpu_seconds()
        time.sleep(REST)
        self.at_rest = (self.gateway.cpu_seconds() - used) / REST

    def round(self, seconds: float) -> None:
        numbers = self.crowd.numbers(round(seconds * RATE))
        self.measure(numbers, lambda: on_time(self.gateway.publish, numbers, rate=RATE))

    def measure(self, numbers: range, publish: Callable[[], tuple[Moments, Moments]]) -> None:
        used, started = self.gateway.cpu_seconds(), time.monotonic()
        due, answered = publish()
        received = self.crowd.received(numbers)
        used = self.gateway.cpu_seconds() - used
        used -= self.at_rest * (time.monotonic() - started)
        self.cpu.append(used / len(numbers) / self.crowd.count * 1e6)
        last = {number: last for number, (_, last) in received.items()}
        self.from_due += delays(due, last)
        self.from_answer += delays(answered, last)

    def burst(self, own: ours.Ours) -> "Audience":
        """Many messages in one call, to the same subscribers."""
        found = Audience(self.gateway, self.crowd, at_rest=self.at_rest)
        numbers = self.crowd.numbers(BURST)
        say_all = own.say_all()

        def publish() -> tuple[Moments, Moments]:
            due = dict.fromkeys(numbers, time.monotonic())
            say_all([text(number) for number in numbers])
            return due, dict.fromkeys(numbers, time.monotonic())

        found.measure(numbers, publish)
        return found


def measure(
    cluster: Cluster,
    *,
    seconds: float,
    rounds: int,
    many: int,
    with_peers: bool,
    say: Callable[[str], None],
) -> Iterator[Section]:
    files = all_files()
    count = min(SUBSCRIBERS, files - SPARE)
    base = cluster.filled("realtime", data.TICKETS)
    with ExitStack() as stack:
        own = stack.enter_context(ours.ours(base))
        gateways = [own.gateway(), *(peers(stack, files, say) if with_peers else ())]
        audiences = [gathered(stack, each, count, say) for each in gateways]
        take_turns(audiences, rounds, seconds, say)
        say(f"{BURST} messages at once …")
        burst = audiences[0].burst(own)
    with ExitStack() as stack:
        own = stack.enter_context(ours.ours(base))
        activity = gathered(stack, own.gateway(ours.ACTIVITY), count, say)
        take_turns([activity], rounds, seconds, say)
    yield fan_out([("a free channel", audiences[0]), (ours.ACTIVITY, activity)], burst)
    yield gateways_compared(audiences)
    yield connections(base, count, min(many, files - SPARE), say)
    yield publishing(base, seconds, say)


def all_files() -> int:
    """Allow this process, and those that it starts, as many open files as it may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def peers(stack: ExitStack, files: int, say: Callable[[str], None]) -> Iterator[Gateway]:
    for other in (socket_io.socket_io(), nchan.nchan(files)):
        try:
            yield stack.enter_context(other)
        except Absent as why:
            say(str(why))


def gathered(
    stack: ExitStack, gateway: Gateway, count: int, say: Callable[[str], None]
) -> Audience:
    say(f"{count:,} subscribers of {gateway.name} …")
    audience = Audience(gateway, stack.enter_context(crowd(gateway)))
    audience.gather(count)
    return audience


def take_turns(
    audiences: Sequence[Audience], rounds: int, seconds: float, say: Callable[[str], None]
) -> None:
    for _ in range(rounds):
        for each in audiences:
            say(f"{RATE} messages/s to {each.crowd.count:,} by {each.gateway.name} …")
            each.round(seconds)


def fan_out(channels: Sequence[tuple[str, Audience]], burst: Audience) -> Section:
    columns = ("channel", "subscribers", "p50", "p99", "max", "p99 from answer", "CPU")
    rows, verdicts = [], []
    for name, each in (*channels, (f"{BURST} messages at once", burst)):
        rows.append((name, f"{each.crowd.count:,}", ms(share_of(each.from_due, 0.5)),
                     ms(share_of(each.from_due, 0.99)), ms(max(each.from_due)),
                     ms(share_of(each.from_answer, 0.99)), spread(each.cpu)))  # fmt: skip
    for name, each in channels:
        p99, cpu = share_of(each.from_due, 0.99), median(each.cpu)
        verdicts += [
            Verdict(f"{name}: p99 to the last ≤ {ms(LATE_MS)}", ms(p99), p99 <= LATE_MS),
            Verdict(f"{name}: CPU for one delivery ≤ {CPU_US:.0f} {MICRO}",
                    f"{cpu:.1f} {MICRO}", cpu <= CPU_US),
        ]  # fmt: skip
    return Section("Fan-out", columns, rows, verdicts)


def gateways_compared(audiences: Sequence[Audience]) -> Section:
    own = audiences[0]
    columns = ("gateway", "p50", "p99", "CPU", "ratio", "memory", "ratio", "all attached in")
    rows = []
    for each in audiences:
        rows.append((each.gateway.name, ms(share_of(each.from_due, 0.5)),
                     ms(share_of(each.from_due, 0.99)), spread(each.cpu),
                     times(median(each.cpu) / median(own.cpu)), f"{each.kilobytes:.1f} kB",
                     times(each.kilobytes / own.kilobytes), f"{each.seconds:.2f} s"))  # fmt: skip
    return Section("Gateways", columns, rows)


def connections(base: Base, count: int, many: int, say: Callable[[str], None]) -> Section:
    """Memory of one server as more and more are attached, and how fast all come back."""
    with ours.ours(base) as own, crowd(own.gateway()) as people:
        gateway = own.gateway()
        empty = gateway.kilobytes()

        def grown(total: int) -> tuple[str, ...]:
            say(f"{total:,} connections …")
            seconds = people.open(total - people.count, gateway.way)
            time.sleep(SETTLE)
            return sizes(f"{total:,}", empty, gateway.kilobytes(), total, f"{seconds:.2f} s")

        rows = [grown(count)]
        say("all are cut and come back …")
        again = [people.again(own.way_back()) for _ in range(ROUNDS)]
        time.sleep(SETTLE)
        rows.append(sizes(f"{count:,}, cut and back", empty, gateway.kilobytes(), count,
                          f"{median(again):.2f} s"))  # fmt: skip
        if many > count:
            rows.append(grown(many))
        each = (gateway.kilobytes() - empty) / people.count
    if many < MANY:
        rows.append(sizes(f"{MANY:,}, extrapolated", empty, empty + each * MANY, MANY, ""))
    columns = ("connections", "all attached in", "memory of each", "of the server")
    promise = f"an idle connection ≤ {KILOBYTES:.0f} kB"
    verdict = Verdict(promise, f"{each:.1f} kB", each <= KILOBYTES)
    return Section("Connections", columns, rows, [verdict])


def sizes(name: str, empty: float, full: float, count: int, attached: str) -> tuple[str, ...]:
    return name, attached, f"{(full - empty) / count:.1f} kB", f"{full / 1000:.0f} MB"


def publishing(base: Base, seconds: float, say: Callable[[str], None]) -> Section:
    rows = []
    with ours.ours(base) as own, crowd(own.gateway(), 1) as people, publisher(own) as one:
        say("one connection publishes …")
        numbers = people.numbers(round(seconds * RATE))
        sent, safe = on_time(one.say, numbers, rate=RATE)
        rows.append(published(f"1, {RATE} a second", sent, safe, people.received(numbers)))
        for at_once in (1, AT_ONCE):
            numbers = people.numbers(IN_TURN)
            sent, safe = one.publish(numbers, at_once=at_once)
            rows.append(published(f"1, {at_once} under way", sent, safe, people.received(numbers)))
        numbers = people.numbers(PIPELINED)
        sent, safe = side_by_side(own, numbers)
        received = people.received(numbers, in_any_order=True)
        rows.append(published(f"{PUBLISHERS}, {AT_ONCE} under way each", sent, safe, received))
    columns = ("connections", "messages", "acknowledged, p50", "p99", "received, p50", "p99")
    return Section("Publishing", columns, rows)


def side_by_side(own: ours.Ours, numbers: range) -> tuple[Moments, Moments]:
    """Each connection publishes its share of the messages."""
    sent: Moments = {}
    safe: Moments = {}
    with ExitStack() as stack, ThreadPoolExecutor(PUBLISHERS) as threads:
        all_ = [stack.enter_context(publisher(own)) for _ in range(PUBLISHERS)]
        shares = [numbers[start::PUBLISHERS] for start in range(PUBLISHERS)]
        for outcome in threads.map(lambda one, share: one.publish(share, at_once=AT_ONCE),
                                   all_, shares):  # fmt: skip
            sent |= outcome[0]
            safe |= outcome[1]
    return sent, safe


def published(
    name: str,
    sent: Moments,
    safe: Moments,
    received: Mapping[int, tuple[float, float]],
) -> tuple[str, ...]:
    acknowledged = delays(sent, safe)
    delivered = delays(sent, {number: last for number, (_, last) in received.items()})
    rate = len(sent) / (max(safe.values()) - min(sent.values()))
    return (name, per_second(rate), ms(share_of(acknowledged, 0.5)),
            ms(share_of(acknowledged, 0.99)), ms(share_of(delivered, 0.5)),
            ms(share_of(delivered, 0.99)))  # fmt: skip


def delays(origin: Mapping[int, float], moment: Mapping[int, float]) -> list[float]:
    """Milliseconds; what came before its origin counts as 0."""
    return [max(0.0, moment[number] - origin[number]) * 1000 for number in origin]


def share_of(delays: Sequence[float], share: float) -> float:
    return sorted(delays)[int(len(delays) * share)]


def spread(found: Sequence[float]) -> str:
    """The median of the rounds, and the lowest and the highest."""
    middle = f"{median(found):.1f}"
    if len(found) > 1:
        middle += f" ({min(found):.1f} to {max(found):.1f})"
    return f"{middle} {MICRO}"
