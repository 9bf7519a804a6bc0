"""What the doctor finds, and the one rule for it: no secret is ever in the text."""

from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from pullse.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` says what to do; empty where there is nothing to do."""

    what: str
    is_well: bool
    text: str
    remedy: str = ""


def without_secrets(finding: Finding, settings: Settings) -> Finding:
    """Whoever wrote the text: a server, a library, or this program."""
    text, remedy = finding.text, finding.remedy
    for secret in secrets(settings):
        text, remedy = text.replace(secret, "…"), remedy.replace(secret, "…")
    return replace(finding, text=text, remedy=remedy)


def secrets(settings: Settings) -> list[str]:
    """Longest first, so that no part of one is left."""
    found = {settings.supabase_service_key, settings.api_token}
    if settings.ably:
        found |= {settings.ably.key, settings.ably.key.partition(":")[2]}
    found |= {each.client_secret for each in settings.oidc}
    found |= {settings.secret, settings.supabase_jwt_secret}
    for url in (settings.database_url, settings.database_direct_url):
        password = urlsplit(url).password if url else None
        if password:
            found |= {password, unquote(password)}
    return sorted((each for each in found if each and len(each) > 3), key=len, reverse=True)
