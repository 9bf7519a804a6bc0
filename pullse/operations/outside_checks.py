"""
The doctor's looks at services of others: Ably, Supabase, and those by which people sign in.
Without network it says so.
"""

import asyncio
import base64
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from pullse.access.oidc.discovery import Live
from pullse.access.oidc.outgoing import Failed
from pullse.operations.findings import Finding
from pullse.providers import Provider
from pullse.realtime import outlet
from pullse.realtime.outlet import Pace
from pullse.settings import Ably, Settings

PATIENCE = 5.0
SKEW = 30.0
"""Seconds. Ably refuses requests for tokens whose time is far off."""

ABLY_KEY = re.compile(r"[\w-]+\.[\w-]+:[\w-]+")
NO_NETWORK = "See that this machine reaches the internet (DNS, firewall, proxy), then ask again."


async def ably(settings: Settings) -> list[Finding]:
    given = settings.ably
    if given is None:
        text = "ABLY_API_KEY is not set; clients follow the feed at /api/events"
        return [Finding("Ably", True, text)]
    if not ABLY_KEY.fullmatch(given.key):
        text = "ABLY_API_KEY does not look like app.key:secret"
        return [Finding("Ably", False, text, "Copy it whole from Ably's dashboard, API Keys.")]
    outlet.hush()
    pace = Pace(answer=PATIENCE)
    try:
        skew = await ably_clock(given, pace)
    except Exception as error:  # of the SDK, of httpx, of the system
        text = f"can't be reached ({said(error)})"
        return [Finding("Ably", False, text, NO_NETWORK)]
    if abs(skew) > SKEW:
        text = f"this machine's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead'}"
        return [Finding("Ably", False, text, "Let NTP set the clock; tokens are refused so.")]
    troubles = {trouble.text for trouble in (await outlet.check(given, pace)).values()}
    if not troubles:
        return [Finding("Ably", True, f"takes the key {given.key.partition(':')[0]} to publish")]
    return [
        Finding(
            "Ably",
            False,
            text.removesuffix("; trying again"),
            "Correct ABLY_API_KEY (Ably's dashboard, API Keys); until then tickets go on working "
            "and facts wait.",
        )
        for text in sorted(troubles)
    ]


async def ably_clock(given: Ably, pace: Pace) -> float:
    """How many seconds Ably's clock is before ours."""
    client: Any = await outlet.connect(given, pace)
    async with client, asyncio.timeout(pace.answer):
        asked = time.time()
        theirs: float = await client.time()
        return theirs / 1000 - (asked + time.time()) / 2


async def supabase(settings: Settings) -> list[Finding]:
    key, url = settings.supabase_service_key, settings.supabase_url
    if key is None and url is None:
        return [Finding("Supabase", True, "SUPABASE_SERVICE_KEY is not set; nothing needs it yet")]
    if key is None or url is None:
        missing, other = "SUPABASE_URL", "SUPABASE_SERVICE_KEY"
        if key is None:
            missing, other = other, missing
        text = f"{other} is set without {missing}"
        remedy = f"Set {missing} too (Supabase's dashboard, Project Settings), or remove {other}."
        return [Finding("Supabase", False, text, remedy)]
    if wrong := wrong_kind(key):
        remedy = "Take the secret key (sb_secret_…) or the service_role key from the dashboard."
        return [Finding("Supabase", False, wrong, remedy)]
    return [await supabase_answer(url, key)]


def wrong_kind(key: str) -> str:
    """What can be told of a key without asking: the public ones are easily taken for it."""
    if key.startswith("sb_publishable_"):
        return "SUPABASE_SERVICE_KEY is a publishable key, which may not do a service's work"
    role = claims(key).get("role")
    if role not in (None, "service_role"):
        return f"SUPABASE_SERVICE_KEY is the key of the role {role}, not of service_role"
    return ""


def claims(key: str) -> dict[str, Any]:
    """Of a key that is a JWT; empty for others. Nothing is verified: Supabase does that."""
    try:
        payload = key.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


async def supabase_answer(url: str, key: str) -> Finding:
    """Listing users is for the service alone, and changes nothing."""
    host = urlsplit(url).hostname
    headers = {"apikey": key}
    if claims(key):
        headers["authorization"] = f"Bearer {key}"
    try:
        async with httpx.AsyncClient(timeout=PATIENCE) as client, asyncio.timeout(PATIENCE * 2):
            answer = await client.get(
                f"{url.rstrip('/')}/auth/v1/admin/users?page=1&per_page=1", headers=headers
            )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError, TimeoutError) as error:
        return Finding("Supabase", False, f"{host} can't be reached ({said(error)})", NO_NETWORK)
    if answer.status_code in (401, 403):
        return Finding(
            "Supabase",
            False,
            f"{host} refuses the key ({answer.status_code})",
            "Take the secret key (sb_secret_…) or the service_role key of this very project from "
            "Supabase's dashboard.",
        )
    if answer.status_code != 200:
        return Finding(
            "Supabase",
            False,
            f"{host} answers {answer.status_code}",
            "See that SUPABASE_URL is https://<project>.supabase.co, and that the project is not "
            "paused.",
        )
    return Finding("Supabase", True, f"{host} takes the key")


async def providers(settings: Settings) -> list[Finding]:
    """What each says of itself, which is all that can be asked without a person."""
    return list(await asyncio.gather(*(provider(each) for each in settings.oidc)))


async def provider(given: Provider) -> Finding:
    what = f"sign-in by {given.name}"
    try:
        async with asyncio.timeout(PATIENCE * 2):
            await Live(given).metadata()
    except (Failed, TimeoutError) as error:
        return Finding(
            what,
            False,
            f"{given.issuer} can't be used ({said(error)})",
            "See that this machine reaches it and that its ISSUER is right; until then nobody "
            "signs in by it.",
        )
    return Finding(what, True, f"{given.issuer} says where to sign in")


def said(error: Exception) -> str:
    text = " ".join(str(getattr(error, "message", "") or error).split())[:200]
    return text or type(error).__name__
