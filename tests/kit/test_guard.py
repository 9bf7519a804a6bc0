"""Who may come in: each header that could bring a stranger's request, by itself."""

import asyncio
from typing import Any

import pytest

from pullse.kit.edge import NotLetIn, Visitor
from pullse.kit.guard import FORWARDING, BearerToken, LocalOwner

TOKEN = "a-token-of-more-than-twenty-characters"


def admit(guard: Any, path: str = "/api/tickets", **headers: str) -> str:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return admit_raw(guard, given, path)


def admit_raw(guard: Any, headers: list[tuple[bytes, bytes]], path: str = "/api/tickets") -> str:
    scope = {"path": path, "method": "GET", "headers": headers}
    visitor: Visitor = asyncio.run(guard.admit(scope, dict(headers)))
    return visitor.id


def refusal(guard: Any, path: str = "/api/tickets", **headers: str) -> tuple[int, str]:
    with pytest.raises(NotLetIn) as refused:
        admit(guard, path, **headers)
    return refused.value.status, refused.value.code


# -- the way to a provider and back --

BACK = "/api/sign-in/oidc/corp/callback"


@pytest.mark.parametrize(
    "path", ["/api/sign-in/providers", "/api/sign-in/oidc/corp", BACK, BACK + "/"]
)
def test_a_stranger_may_go_to_a_provider_and_come_back(path: str) -> None:
    for site in ("cross-site", "same-origin", "none"):
        assert admit(BearerToken(TOKEN), path, sec_fetch_site=site) == "anonymous"


@pytest.mark.parametrize(
    "path",
    [
        "/api/sign-in",
        "/api/sign-in/",
        "/api/sign-in/oidc",
        "/api/sign-in/oidc/",
        "/api/sign-in/providers/corp",
        "/api/sign-in/oidc/corp/callback/more",
        "/api/sign-in/oidc/corp/more",
        "/api/sign-in/oidc/a/b/callback",
        "/api/sign-in/providers\n",
        "/x/api/sign-in/providers",
        "/api/session/identities",
    ],
)
def test_no_other_path_is_open_with_it(path: str) -> None:
    assert refusal(BearerToken(TOKEN), path) == (401, "unauthorized")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_other_method_is_open_with_it(method: str) -> None:
    scope = {"path": BACK, "method": method, "headers": [], "scheme": "http"}
    with pytest.raises(NotLetIn) as refused:
        asyncio.run(BearerToken(TOKEN).admit(scope, {}))
    assert refused.value.status == 401


def test_from_a_providers_page_one_comes_back_to_pullse_dev_too() -> None:
    for site in ("cross-site", "same-site"):
        given = {"host": "localhost", "sec_fetch_site": site}
        assert admit(LocalOwner(), BACK, **given) == "owner"
        assert refusal(LocalOwner(), "/api/sign-in/oidc/corp", **given) == (403, "cross_site")
        assert refusal(LocalOwner(), BACK, host="evil.example")[1] == "foreign_host"
        forwarded = {**given, "x_forwarded_for": "192.0.2.1"}
        assert refusal(LocalOwner(), BACK, **forwarded) == (403, "forwarded")


# -- the one at this machine --


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "LOCALHOST:3000",
        "127.0.0.1",
        "127.0.0.1:65535",
        "127.0.0.2:3000",
        "[::1]",
        "[::1]:3000",
    ],
)
def test_loopback_names_are_let_in(host: str) -> None:
    assert admit(LocalOwner(), host=host) == "owner"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:3000",
        "192.168.1.5:3000",
        "0.0.0.0:3000",
        "[::]:3000",
        "localhost.evil.example",
        "localhost.",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "127.evil.example.1",
        "1127.0.0.1",
        "evil-localhost",
        "localhost@evil.example",
        "localhost:3000@evil.example",
        "evil.example@localhost",
        "localhost:",
        "localhost:3000:3000",
        "localhost:999999",
        "localhost:x",
        "localhost:-1",
        "localhost:٣",
        "localhost ",
        " localhost",
        "localhost,evil.example",
        "localhost/evil",
        "localhost#",
        "localhost\n",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "[::1",
        "[::1%25lo]",
    ],
)
def test_any_other_host_is_not(host: str) -> None:
    assert refusal(LocalOwner(), host=host) == (403, "foreign_host")


def test_a_request_without_a_host_is_not() -> None:
    assert refusal(LocalOwner()) == (403, "foreign_host")


@pytest.mark.parametrize("order", [1, -1])
def test_a_second_host_is_not(order: int) -> None:
    with pytest.raises(NotLetIn):
        admit_raw(LocalOwner(), [(b"host", b"localhost"), (b"host", b"evil.example")][::order])


@pytest.mark.parametrize(
    "name",
    [
        *(each.decode() for each in sorted(FORWARDING)),
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-anything",
    ],
)
def test_nothing_that_a_proxy_forwards_is_let_in(name: str) -> None:
    headers = [(b"host", b"localhost"), (name.encode(), b"")]
    with pytest.raises(NotLetIn) as refused:
        admit_raw(LocalOwner(), headers)
    assert (refused.value.status, refused.value.code) == (403, "forwarded")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://localhost.evil.example",
        "http://evil.example:3000",
        "http://localhost@evil.example",
        "http://localhost:3000@evil.example",
        "http://127.0.0.1.evil.example",
        "http://192.168.1.5",
        "file://",
        "chrome-extension://abcdef",
        "ftp://localhost",
        "localhost:3000",
        "http://localhost:3000/",
        "http://localhost https://evil.example",
    ],
)
@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_a_page_of_another_site_may_not_call(origin: str, site: str | None) -> None:
    more = {} if site is None else {"sec_fetch_site": site}
    assert refusal(LocalOwner(), host="localhost", origin=origin, **more) == (403, "cross_site")
    assert not LocalOwner().allows_origin(origin.encode())


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://127.0.0.1", "https://[::1]:8"])
@pytest.mark.parametrize("site", ["same-origin", "same-site", "cross-site"])
def test_a_front_end_at_another_port_may_call(origin: str, site: str) -> None:
    assert admit(LocalOwner(), host="localhost", origin=origin, sec_fetch_site=site) == "owner"
    assert LocalOwner().allows_origin(origin.encode())


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "CROSS-SITE", "something-new"])
def test_a_link_or_picture_of_another_site_may_not_call(site: str) -> None:
    """Those carry no Origin; the browser still says where they come from."""
    assert refusal(LocalOwner(), host="localhost", sec_fetch_site=site) == (403, "cross_site")


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_the_address_bar_and_our_own_pages_may_call(site: str) -> None:
    assert admit(LocalOwner(), host="localhost", sec_fetch_site=site) == "owner"


# -- the token --


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens_everything(scheme: str) -> None:
    guard = BearerToken(TOKEN)
    assert admit(guard, authorization=f"{scheme} {TOKEN}") == "token"
    assert admit(guard, authorization=f"{scheme}  {TOKEN} ") == "token"
    assert admit(guard, "/health/ready", authorization=f"{scheme} {TOKEN}") == "token"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer{TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN[1:]}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN},{TOKEN}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN}\0",
        f"Bearer Bearer {TOKEN}",
        "Bearer töken",
    ],
)
def test_nothing_like_the_token_opens_anything(authorization: str) -> None:
    guard = BearerToken(TOKEN)
    assert refusal(guard, authorization=authorization) == (401, "unauthorized")
    assert admit(guard, "/health/live", authorization=authorization) == "anonymous"


@pytest.mark.parametrize(
    "path", ["/health/live/", "//health/live", "/health/live/../../api", "/health", "/metrics", ""]
)
def test_only_the_two_health_calls_are_open(path: str) -> None:
    guard = BearerToken(TOKEN)
    assert admit(guard, "/health/live") == admit(guard, "/health/ready") == "anonymous"
    assert refusal(guard, path) == (401, "unauthorized")


def test_no_page_of_any_site_may_read_answers() -> None:
    assert not BearerToken(TOKEN).allows_origin(b"http://localhost:3000")


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(BearerToken(TOKEN))
