"""
What is played with ably-python, of either generation, in a process of its own.

`python scenarios.py NAME GIVEN` runs the function of that name; it tells things by name, a
line of JSON each, and its result last. Whoever started it may say things back, in the same way.
"""

import asyncio
import base64
import contextlib
import importlib.metadata
import json
import logging
import sys
import traceback

from ably import AblyRealtime, AblyRest
from ably.types.message import Message

VERSION = importlib.metadata.version("ably")
IS_NEW = not VERSION.startswith("2.")
BYTES = bytes(range(256))
IMPATIENT = {"disconnected_retry_timeout": 200, "realtime_request_timeout": 3000}
"""Milliseconds; a port where nobody listens is given up by the second of them alone."""
PAYLOADS = [
    "text",
    "",
    "é 😀",
    BYTES,
    bytearray(b""),
    {"a": [1, 2.5, None, True, "é"]},
    ["a", {"b": {}}],
    None,
]


def options(given, **more):
    """How each generation is told to go to 127.0.0.1 without TLS (ABLY.md, 3.2)."""
    port = given["port"]
    where = (
        {"endpoint": f"127.0.0.1:{port}/"}
        if IS_NEW
        else {"rest_host": "127.0.0.1", "realtime_host": f"127.0.0.1:{port}", "port": port}
    )
    found = {
        **where,
        "tls": False,
        "use_binary_protocol": given.get("binary", True),
        "use_token_auth": True,
        "key": given["key"],
        **{name: value for name, value in more.items() if value is not None},
    }
    if "client_id" in found:
        # By itself the client asks for a token of nobody, and then takes none but its own.
        found["default_token_params"] = {"client_id": found["client_id"]}
    if {"auth_url", "auth_callback", "token", "token_details"} & more.keys():
        del found["key"], found["use_token_auth"]
    return found


@contextlib.asynccontextmanager
async def realtime(given, **more):
    """A connected client; its states are told in its `told`."""
    client = AblyRealtime(**options(given, **more))
    client.told = []

    def note(change):
        client.told.append([str(change.current.value), told(change.reason)])

    client.connection.on(note)
    try:
        yield client
    finally:
        await client.close()


async def connected(client):
    async with asyncio.timeout(20):
        while client.connection.state != "connected":
            await client.connection.once_async("connected")


def id_of(client):
    return client.connection.connection_manager.connection_id


def told(error):
    if error is None:
        return None
    return {
        "code": getattr(error, "code", None),
        "status": getattr(error, "status_code", None),
        "message": str(error),
    }


def shown(message):
    """A message as JSON carries it."""
    return {
        "id": message.id,
        "name": message.name,
        "data": shown_data(message.data),
        "encoding": message.encoding or None,
        "clientId": message.client_id,
        "connectionId": message.connection_id,
        "timestamp": message.timestamp,
        "extras": getattr(message, "extras", None),
        "serial": getattr(message, "serial", None),
    }


def shown_data(data):
    if isinstance(data, bytes | bytearray):
        return {"bytes": base64.b64encode(data).decode()}
    return data


def tell(name, value=None):
    sys.stdout.write(json.dumps({"name": name, "value": value}) + "\n")
    sys.stdout.flush()


async def hears(name):
    """Wait until whoever started this says it."""
    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            raise EOFError(name)
        said = json.loads(line)
        if said["name"] == name:
            return said["value"]


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def refusal(awaitable):
    try:
        await awaitable
    except Exception as error:
        return told(error)
    return None


async def all_of(page):
    """All pages, and how many items each had."""
    items, sizes = [], []
    while True:
        items += page.items
        sizes.append(len(page.items))
        if not page.has_next():
            return items, sizes
        page = await page.next()


# -- connections and messages --


async def connect(given):
    """Connect, ping, close; and once more with a key that is wrong."""
    async with realtime(given) as client:
        await connected(client)
        found = {
            "version": VERSION,
            "id": id_of(client),
            "ping": await client.connection.ping(),
            "details": client.connection.connection_details is not None,
        }
    found["told"] = client.told
    return found


async def refused(given):
    """With a wrong key: the token request, and the connection by a token that is none."""
    wrong = given["key"].partition(":")[0] + ":wrong"
    rest = AblyRest(**options({**given, "key": wrong}))
    found = {"rest": await refusal(rest.channels.get(given["channel"]).publish("n", "d"))}
    await rest.close()
    client = AblyRealtime(**options(given, token=given["token"]))
    failed = asyncio.get_running_loop().create_future()
    client.connection.on(
        lambda change: failed.done() or change.reason is None or failed.set_result(change)
    )
    async with asyncio.timeout(20):
        change = await failed
    found["realtime"] = [str(change.current.value), told(change.reason)]
    await client.close()
    return found


async def messages(given):
    """Payloads from one client to itself and to one of the other format; then by REST."""
    other = {**given, "binary": not given["binary"]}
    name = given["channel"]
    got = {"same": [], "other": []}
    async with realtime(given, client_id="ada") as client, realtime(other) as second:
        await connected(client)
        await connected(second)
        for key, each in (("same", client), ("other", second)):
            channel = each.channels.get(name)
            await channel.subscribe(lambda message, key=key: got[key].append(shown(message)))
        channel = client.channels.get(name)
        serials = []
        for number, data in enumerate(PAYLOADS):
            result = await channel.publish(f"n{number}", data)
            serials += list(getattr(result, "serials", None) or [])
        await channel.publish([Message(name="a", data="1"), Message(name="b", data="2")])
        extras = {"headers": {"x": 1}}
        await channel.publish(Message(name="e", data="x", extras=extras))
        count = len(PAYLOADS) + 3
        await until(lambda: all(len(each) >= count for each in got.values()))
        too_large = await refusal(channel.publish("large", "x" * 70_000))
        found = {"got": got, "serials": serials, "id": id_of(client), "tooLarge": too_large}
    rest = AblyRest(**options(given))
    items, _ = await all_of(await rest.channels.get(name).history(direction="forwards"))
    found["history"] = [shown(each) for each in items]
    found["sent"] = [shown_data(each) for each in PAYLOADS]
    await rest.close()
    return found


async def filtered(given):
    """By name; and nothing after unsubscribing or detaching."""
    async with realtime(given) as client:
        await connected(client)
        channel = client.channels.get(given["channel"])
        got = []

        def listener(message):
            got.append(message.data)

        await channel.subscribe("wanted", listener)
        await channel.publish("other", "1")
        await channel.publish("wanted", "2")
        await until(lambda: got)
        channel.unsubscribe("wanted", listener)
        await channel.publish("wanted", "3")
        await asyncio.sleep(0.3)
        await channel.subscribe(listener)
        await channel.publish("any", "4")
        await until(lambda: len(got) >= 2)
        await channel.detach()
        state = str(channel.state.value)
        await channel.publish("any", "5")
        await asyncio.sleep(0.3)
        await channel.attach()
        await channel.publish("any", "6")
        await until(lambda: len(got) >= 3)
        return {"got": got, "state": state}


async def rewound(given):
    """The past as the channel's name asks for it, and as its parameters do."""
    rest = AblyRest(**options(given))
    for number in range(5):
        await rest.channels.get(given["channel"]).publish("n", str(number))
    await rest.close()
    found = {}
    async with realtime(given) as client:
        await connected(client)
        got = []
        channel = client.channels.get(f"[?rewind=2]{given['channel']}")
        await channel.subscribe(lambda message: got.append(message.data))
        await until(lambda: len(got) >= 2)
        await asyncio.sleep(0.2)
        found["name"] = got
        more = []
        if IS_NEW:
            from ably.types.channeloptions import ChannelOptions  # noqa: PLC0415
        else:
            from ably.realtime.realtime_channel import ChannelOptions  # noqa: PLC0415
        channel = client.channels.get(given["channel"], ChannelOptions(params={"rewind": "3"}))
        await channel.subscribe(lambda message: more.append(message.data))
        await until(lambda: len(more) >= 3)
        await asyncio.sleep(0.2)
        found["params"] = more
    return found


async def silent(given):
    """Echo off, which 2.x has no option for."""
    async with (
        realtime(given, transport_params={"echo": "false"}) as client,
        realtime(given) as other,
    ):
        got, others = [], []
        await connected(client)
        await connected(other)
        await client.channels.get(given["channel"]).subscribe(lambda each: got.append(each.data))
        await other.channels.get(given["channel"]).subscribe(lambda each: others.append(each.data))
        await client.channels.get(given["channel"]).publish("n", "mine")
        await other.channels.get(given["channel"]).publish("n", "theirs")
        await until(lambda: got and len(others) >= 2)
        await asyncio.sleep(0.2)
        return {"silent": got, "other": others}


# -- REST --


async def rest(given):
    client = AblyRest(**options(given, client_id=given.get("clientId")))
    name = given["channel"]
    channel = client.channels.get(name)
    found = {"time": await client.time()}
    results = [await channel.publish("n", data) for data in PAYLOADS]
    found["serials"] = [list(getattr(each, "serials", None) or []) for each in results]
    once = Message(id="mine", name="once", data="x")
    await channel.publish(once)
    await channel.publish(Message(id="mine", name="once", data="y"))
    await channel.publish([Message(name="a", data="1"), Message(name="b", data="2")])
    page = await channel.history(limit=4)
    items, found["sizes"] = await all_of(page)
    found["history"] = [shown(each) for each in items]
    items, found["forwards"] = await all_of(await channel.history(direction="forwards", limit=5))
    found["same"] = [each.id for each in items] == [each["id"] for each in found["history"]][::-1]
    start = items[2].timestamp
    items, _ = await all_of(await channel.history(start=start, direction="forwards"))
    found["from"] = min(each.timestamp for each in items) >= start
    found["present"] = [each.client_id for each in (await channel.presence.get()).items]
    status = await channel.status()
    found["status"] = [status.channel_id, status.status.occupancy.metrics.connections]
    strange = client.channels.get(f"a b+c/d?e=f&é:😀%41 {name}")
    await strange.publish("n", "strange")
    found["strange"] = [each.data for each in (await strange.history()).items]
    path = f"/channels/{name}/messages"
    answer = await client.request("GET", path, "3", params={"limit": 1})
    found["request"] = [answer.status_code, answer.success, len(answer.items)]
    answer = await client.request("GET", path, "3", params={"limit": 5000})
    found["refusedRequest"] = [answer.status_code, answer.success, int(answer.error_code)]
    found["errors"] = [
        await refusal(client.channels.get(":bad").publish("n", "x")),
        await refusal(client.channels.get("tickets-updates").publish("n", "x")),
    ]
    found["large"] = await refusal(channel.publish("n", "x" * 70_000))
    await client.close()
    return found


# -- rights --


async def rights(given):
    """A token for little: what it covers works, all else is refused by its code."""
    async with realtime(given, token=given["token"]) as client:
        await connected(client)
        found = {"clientId": client.auth.client_id}
        allowed, denied = client.channels.get(given["channel"]), client.channels.get("denied")
        got = []
        await allowed.subscribe(lambda message: got.append(message.data))
        tell("ready")
        await until(lambda: got)
        found["attach"] = await refusal(denied.attach())
        found["publish"] = await refusal(allowed.publish("n", "x"))
        found["history"] = await refusal(allowed.history())
        found["state"] = [str(denied.state.value), str(client.connection.state.value)]
        return found


async def renewal(given):
    """Tokens given by a callback, of seconds; what is published meanwhile arrives."""
    server, asked = AblyRest(**options(given)), []

    async def callback(params):
        asked.append(1)
        ttl = given["seconds"][min(len(asked), len(given["seconds"])) - 1] * 1000
        return await server.auth.request_token({"ttl": ttl, "client_id": "ada"})

    async with realtime(given, auth_callback=callback) as client:
        await connected(client)
        got, ids = [], {id_of(client)}
        await client.channels.get(given["channel"]).subscribe(lambda each: got.append(each.data))
        tell("ready")
        stop = asyncio.ensure_future(hears("stop"))
        while not stop.done():
            ids.add(id_of(client))
            await asyncio.sleep(0.05)
        count = stop.result()
        await until(lambda: len(got) >= count)
        await asyncio.sleep(0.2)
        await server.close()
        return {"got": got, "ids": sorted(map(str, ids)), "asked": len(asked), "told": client.told}


async def by_url(given):
    """As a browser's page does it: the token comes from pullse's own call."""
    async with realtime(given, auth_url=given["url"]) as client:
        await connected(client)
        return await follow(given, client)


async def authorized(given):
    """Another token on the same connection."""
    tokens = [given["token"], given["better"]]

    async def callback(params):
        return tokens.pop(0)

    async with realtime(given, auth_callback=callback) as client:
        await connected(client)
        before = id_of(client)
        channel = client.channels.get(given["channel"])
        first = await refusal(channel.attach())
        await client.auth.authorize()
        return {
            "first": first,
            "second": await refusal(channel.attach()),
            "isSame": id_of(client) == before,
            "told": client.told,
        }


# -- tickets --


async def follow(given, client):
    got = []
    for name in given["channels"]:
        channel = client.channels.get(name)
        await channel.subscribe(
            lambda message, name=name: got.append([name, message.name, message.data])
        )
    tell("ready")
    count = await hears("stop")
    await until(lambda: len(got) >= count)
    await asyncio.sleep(0.2)
    return got


async def tickets(given):
    async with realtime(given) as client:
        await connected(client)
        return await follow(given, client)


# -- presence: 3.x alone --


def member(each):
    action = each.action if isinstance(each.action, int) else int(each.action)
    return [action, each.client_id, shown_data(each.data)]


async def presence(given):
    name = given["channel"]
    other = {**given, "binary": not given["binary"]}
    found = {}
    async with realtime(other, client_id="watcher") as watcher:
        await connected(watcher)
        seen = []
        watching = watcher.channels.get(name)
        await watching.presence.subscribe(lambda each: seen.append(member(each)))
        async with realtime(given, client_id="ada") as client:
            await connected(client)
            channel = client.channels.get(name)
            await channel.presence.enter({"viewing": True})
            await channel.presence.update(b"\0\xff")
            await until(lambda: len(seen) >= 2)
            found["get"] = [member(each) for each in await watching.presence.get()]
            rest = AblyRest(**options(given))
            by_rest = (await rest.channels.get(name).presence.get()).items
            found["rest"] = [member(each) for each in by_rest]
            await channel.presence.leave("bye")
            await until(lambda: len(seen) >= 3)
            await channel.presence.enter("again")
            await until(lambda: len(seen) >= 4)
        await until(lambda: len(seen) >= 5)  # by closing
        history = (await rest.channels.get(name).presence.history(direction="forwards")).items
        found["history"] = [member(each) for each in history]
        await rest.close()
        found["seen"] = seen
        found["left"] = [member(each) for each in await watching.presence.get()]
    async with realtime(given, client_id="*") as many, realtime(other) as late:
        await connected(many)
        await connected(late)
        channel = many.channels.get(name + "-many")
        await channel.attach()
        count = given.get("members", 120)
        await asyncio.gather(
            *(channel.presence.enter_client(f"client{each:03}", str(each)) for each in range(count))
        )
        members = await late.channels.get(name + "-many").presence.get()
        found["many"] = sorted(each.client_id for each in members)
    return found


async def staying(given):
    """A member, behind a proxy that will cut."""
    async with realtime(given, client_id="ada") as client:
        await connected(client)
        channel = client.channels.get(given["channel"])
        await channel.presence.enter("here")
        before = id_of(client)
        tell("ready")
        await hears("stop")
        await until(lambda: str(client.connection.state.value) == "connected")
        mine = [each.client_id for each in await channel.presence.get()]
        return {"isSame": id_of(client) == before, "mine": mine, "told": client.told}


# -- cuts --


async def listen(given):
    """Subscribe on a connection that is cut; at `stop` tell what came, and the states."""
    async with realtime(given, **IMPATIENT) as client:
        await connected(client)
        channel = client.channels.get(given["channel"])
        got, ids, lost = [], {id_of(client)}, []

        def changed(change):
            if str(change.current.value) == "attached" and not change.resumed:
                lost.append(told(change.reason))

        await channel.subscribe(lambda message: got.append(message.data))
        channel.on(changed)
        tell("ready")
        stop = asyncio.ensure_future(hears("stop"))
        while not stop.done():
            if str(client.connection.state.value) == "connected":
                ids.add(id_of(client))
            await asyncio.sleep(0.02)
        count = stop.result()
        with contextlib.suppress(TimeoutError):
            await until(lambda: len(got) >= count, 25)
        await asyncio.sleep(0.3)
        return {"got": got, "ids": sorted(map(str, ids)), "lost": lost, "told": client.told}


async def talk(given):
    """Publish on a connection that is cut, until `stop`; 3.x sends again what got no answer."""
    async with realtime(given, **IMPATIENT) as client:
        await connected(client)
        channel = client.channels.get(given["channel"])
        pending = []
        tell("ready")
        stop = asyncio.ensure_future(hears("stop"))
        while not stop.done():
            number = len(pending)
            pending.append(asyncio.ensure_future(channel.publish("n", f"{given['who']}-{number}")))
            await asyncio.sleep(1 / given["rate"])
        done = await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), 40)
        return {
            "count": len(pending),
            "failures": [str(each) for each in done if isinstance(each, Exception)],
            "told": client.told,
        }


async def idle(given):
    """Nothing happens for a while; then a message comes, on the connection that it was."""
    async with realtime(given) as client:
        await connected(client)
        got = []
        await client.channels.get(given["channel"]).subscribe(lambda each: got.append(each.data))
        before = id_of(client)
        tell("ready")
        await hears("stop")
        await until(lambda: got)
        return {"got": got, "isSame": id_of(client) == before, "told": client.told}


async def main():
    scenario, given = sys.argv[1:]
    tell("version", VERSION)
    try:
        tell("result", await globals()[scenario](json.loads(given)))
    except BaseException as error:
        tell("error", f"{error!r}\n{traceback.format_exc()}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(main())
