"""Bytes that no honest client sends: refused with a reason, and the next request is served."""

import asyncio
import json
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.calls import get, new_ticket, problems, refused, titles

JSON = {"Content-Type": "application/json"}
MIB = 1 << 20


async def post(client: httpx.AsyncClient, body: bytes | str) -> httpx.Response:
    return await client.post("/api/tickets", content=body, headers=JSON)


def ticket(**fields: object) -> dict[str, object]:
    return {"title": "Help", "description": "It broke.", **fields}


async def test_a_body_of_one_mebibyte_is_read_and_one_more_is_not(
    live: httpx.AsyncClient,
) -> None:
    body = json.dumps(ticket()).encode()
    fits = body + b" " * (MIB - len(body))

    async def chunked(whole: bytes):  # type: ignore[no-untyped-def]
        for start in range(0, len(whole), 100_000):
            yield whole[start : start + 100_000]

    assert (await live.post("/api/tickets", content=fits, headers=JSON)).status_code == 201
    answer = await live.post("/api/tickets", content=chunked(fits), headers=JSON)
    assert answer.status_code == 201

    refused(await live.post("/api/tickets", content=fits + b" ", headers=JSON), 413, "too_large")
    too_long = chunked(fits + b" ")
    refused(await live.post("/api/tickets", content=too_long, headers=JSON), 413, "too_large")
    assert len(await titles(live)) == 2


async def test_a_length_that_is_only_announced_is_refused_at_once(
    live: httpx.AsyncClient,
) -> None:
    answer = await raw(
        live,
        b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999999\r\n\r\n{",
    )

    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/jsonp",
        "application",
        "text/json",
        ";",
    ],
)
async def test_a_body_that_is_not_json_is_refused_by_its_type(
    client: httpx.AsyncClient, kind: str | None
) -> None:
    made = await new_ticket(client)
    headers = {} if kind is None else {"Content-Type": kind}
    body = json.dumps(ticket()).encode()
    for method, path in (
        ("POST", "/api/tickets"),
        ("PATCH", f"/api/tickets/{made['id']}"),
        ("POST", "/api/agents"),
    ):
        answer = await client.request(method, path, content=body, headers=headers)

        refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json;charset=utf-8",
        'application/json; charset="UTF-8"',
        " application/json ",
    ],
)
async def test_json_is_taken_however_it_is_written(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post(
        "/api/tickets", content=json.dumps(ticket()), headers={"Content-Type": kind}
    )

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"nothing",
        b"{'title': 'Help'}",
        b'{"title": "Help",}',
        b'{"title": "Help" "description": "x"}',
        b'{"title": "Help", "description": "x"} {}',
        b'{"title": "He\x00lp", "description": "x"}',
        b'{"title": "He\nlp", "description": "x"}',
        b'{"title": "\\x41", "description": "x"}',
        b'{"title": NaN, "description": "x"}',
        b'\xef\xbb\xbf{"title": "Help", "description": "x"}',
        '{"title": "Help", "description": "x"}'.encode("utf-16"),
        b'{"title": "\xff", "description": "x"}',
        b'{"title": "\xc3", "description": "x"}',
        b'{"title": "\xed\xa0\x80", "description": "x"}',
        b'{"title": "\\ud800", "description": "x"}',
        b'{"title": "\\udc00\\ud800", "description": "x"}',
        b'{"\xff": 1, "title": "Help", "description": "x"}',
        b'{"\\ud800": 1, "title": "Help", "description": "x"}',
        b'{"colour": "\xff", "title": "Help", "description": "x"}',
        b"[" * 100_000,
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 100_000,
        b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"colour": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_what_is_not_json_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    refused(await post(client, body), 400, "malformed")

    assert await titles(client) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": "He\0lp"}, "title"),
        ({"description": "\0"}, "description"),
        ({"he\0lp": 1}, "he\0lp"),
        ({"status": "\0"}, "status"),
        ({"title": 10**400}, "title"),
        ({"title": -(10**18)}, "title"),
        ({"priority": [[[["high"]]]]}, "priority"),
        ({"assigned_to": {}}, "assigned_to"),
        ({"assigned_to": "{" + "0" * 36 + "}"}, "assigned_to"),
    ],
    ids=repr,
)
async def test_a_value_that_does_not_fit_is_named(
    client: httpx.AsyncClient, fields: dict[str, object], named: str
) -> None:
    answer = await post(client, json.dumps(ticket(**fields)))

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == [named]


async def test_backslashes_are_no_nul(client: httpx.AsyncClient) -> None:
    made = await new_ticket(client, "\\u0000")

    assert made["title"] == "\\u0000"


async def test_a_huge_object_is_refused_soon(client: httpx.AsyncClient) -> None:
    many = json.dumps({f"field{number}": number for number in range(40_000)})
    wide = json.dumps(ticket(title=["a"] * 200_000))
    for body in (many, wide):
        answer = await post(client, body)

        refused(answer, 400, "invalid")


@pytest.mark.parametrize(
    "query",
    [
        "%",
        "%zz",
        "q=%ff",
        "q=%ED%A0%80",
        "q=%C0%80",
        "&" * 500,
        "&".join(f"p{number}=1" for number in range(500)),
        "assigned_to=" + "a" * 5000,
        "cursor=" + "%00" * 50,
        "%00=1",
        "q[]=1",
        "limit=%EF%BC%91",
        "limit=0x10",
        "limit=null",
        "cursor=null",
        "created_after=null",
        "limit=1_0",
        "limit=%2B5",
        "limit=true",
        "limit=5.0",
        "sort=",
        "created_after=1763804000",
        "created_after=12.5",
        "created_after=2026-11-22T09:30:60Z",
        "created_after=2026-11-22T09:30:00%2B99:00",
        "created_after=-2026-11-22T09:30:00Z",
        ";status=open",
        "statuss",
    ],
    ids=lambda query: query[:40],
)
async def test_a_query_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"/api/tickets?{query}")

    assert answer.status_code == 400, answer.text
    problems(answer)


async def test_an_odd_query_that_makes_sense_is_taken(client: httpx.AsyncClient) -> None:
    often = "status=" + ",".join(["open"] * 5000)
    for query in ("", "&", "&&&", often, "limit=007", "q=null", "q=1e400", "q=%26%3D"):
        assert (await client.get(f"/api/tickets?{query}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/tickets/%ff",
        "/api/tickets/%ED%A0%80",
        "/api/tickets/%00",
        "/api/tickets/%",
        "/api/tickets/%zz",
        "/api/tickets/a%2Fb",
        "/api/agents/%ff",
        "/api/%ff",
        "/%ff%fe",
    ],
)
async def test_a_path_that_is_not_text_is_not_found(live: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "DELETE", "POST"):
        answer = await raw(
            live,
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Length: 0\r\n\r\n".encode("ascii"),
        )

        assert answer.split(b" ", 2)[1] in (b"400", b"404", b"405"), answer[:300]


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /api/tickets?q=\xff\xfe HTTP/1.1",
        b"GET /api/tickets?q=\xc3\xa9 HTTP/1.1",
        b"GET /api/tickets/\xff HTTP/1.1",
        b"GET /api/tickets?q=a b HTTP/1.1",
        b"GET api/tickets HTTP/1.1",
        b"GET  HTTP/1.1",
        b"\x00\x01\x02\x03",
        b"GET /api/tickets HTTP/9.9",
        b"GET http://evil.example/api/tickets HTTP/1.1",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
    ],
    ids=lambda line: repr(line[:40]),
)
async def test_a_request_that_is_not_http_breaks_nothing(
    live: httpx.AsyncClient, request_line: bytes
) -> None:
    answer = await raw(live, request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert answer == b"" or answer.split(b" ", 2)[1].startswith((b"2", b"4")), answer[:300]
    assert (await get(live, "/api/tickets"))["records"] == []


async def test_headers_that_are_not_text_break_nothing(live: httpx.AsyncClient) -> None:
    for name in (b"X-Request-Id", b"If-None-Match", b"If-Match", b"Idempotency-Key", b"Accept"):
        for value in (b"\xff\xfe", b"\xc3\xa9", b'"' * 500, b",," * 500, b"a" * 7000):
            answer = await raw(
                live,
                b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                + name
                + b": "
                + value
                + b"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            )

            assert answer.split(b" ", 2)[1] == b"400", answer[:300]


async def test_a_client_that_hangs_up_halfway_breaks_nothing(live: httpx.AsyncClient) -> None:
    where = urlsplit(str(live.base_url))
    for _ in range(10):
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(
            b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n" + b'{"title": "Half'
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    assert (await get(live, "/api/tickets"))["records"] == []


async def raw(live: httpx.AsyncClient, request: bytes) -> bytes:
    """What the server says to these bytes, whether or not it then waits for more."""
    where = urlsplit(str(live.base_url))
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65536), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()
