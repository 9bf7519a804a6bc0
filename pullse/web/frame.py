"""
The frame that every page stands in: who looks at it, where else one may go, the language.

A slice puts its templates into its folder `templates`, lists its pages and its `places` (the
entries of the menu), and answers with `shown`; `app.py` adds them up.
"""

import re
import zlib
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from minijinja import Environment, escape, safe

from pullse import __version__
from pullse.errors import Refusal
from pullse.kit import assets, compression, texts
from pullse.kit.db import Struct
from pullse.kit.headers import OF_ASSET, OF_PAGE, of_page
from pullse.kit.pages import Shown, see, showing, to_sign_in, wants_page
from pullse.kit.texts import Texts
from pullse.kit.web import Answer, Call, Headers, Request, Scope

HERE = Path(__file__).parent
FIRST = "en"
WAYS_ON = {"second_factor_needed": "/account/second-factor"}
"""Where one can do something about a refusal."""
UNITS = {"year": 31_557_600, "month": 2_629_800, "day": 86_400, "hour": 3600, "minute": 60}
ASKED = (
    "me:write",
    "tickets:read",
    "tickets:write",
    "events:read",
    "agents:admin",
    "teams:admin",
    "operations:admin",
)
"""Rights that templates ask for."""
TONES = 8
"""Colours of faces: `person__face` in the style."""
KEPT = frozenset({b"retry-after", b"connection"})
"""Of the head of an answer in whose place a page is shown."""


class Viewer(Struct, frozen=True):
    """Who looks at a page. Without a session it is who has the machine, or a token."""

    name: str
    email: str | None
    role: str
    has_session: bool


class Place(Struct, frozen=True):
    """
    An entry of the menu, for those with the permission. `text` is a key of the texts; `group`
    says beside which others it stands: what one works on, what one looks after, what is one's own.
    """

    path: str
    text: str
    icon: str
    permission: str
    group: Literal["work", "admin", "own"] = "work"
    key: str = ""
    """Pressed one after the other: "g a"."""


class Entry(Struct, frozen=True):
    """
    A list in the side bar. `title` is a key of the texts, or with `is_named` a name as it is;
    `name` tells the entry from the others for good, as "open" or a team's id.
    """

    name: str
    path: str
    title: str
    icon: str
    count: int | None = None
    is_named: bool = False
    key: str = ""
    is_here: bool = False
    """Does the page show it?"""


class Preferences(Struct, frozen=True):
    """How somebody wants to see everything. Empty: as the browser says."""

    look: Literal["", "light", "dark"] = ""
    contrast: Literal["", "more"] = ""
    density: Literal["comfortable", "compact"] = "comfortable"
    columns: tuple[str, ...] = ()
    """Of the ticket list, in their order; none: the usual ones."""
    language: str = ""
    zone: str = "UTC"
    """An IANA name, for moments."""


USUAL = Preferences()


class Provider(Struct, frozen=True):
    """Where people can sign in who have an account there."""

    title: str
    href: str


class Frame:
    """One for each process."""

    def __init__(
        self,
        find_viewer: Callable[[Request], Awaitable[Viewer]],
        *,
        find_preferences: Callable[[Request], Awaitable[Preferences]] | None = None,
        find_side: Callable[[Request], Awaitable[Sequence[Entry]]] | None = None,
        places: Sequence[Place] = (),
        providers: Sequence[Provider] = (),
        connects: Sequence[str] = (),
    ) -> None:
        self._find_viewer = find_viewer
        self._find_preferences = find_preferences
        self._find_side = find_side
        self._places = places
        self.providers = providers
        self._head = of_page(connects)

    async def show(
        self, request: Request, template: str, status: int, headers: Headers, given: Any
    ) -> Shown:
        viewer = await self._find_viewer(request)
        rights = request.actor.rights
        places = [each for each in self._places if each.permission in rights]
        side = [] if self._find_side is None else await self._find_side(request)
        preferences = await self.preferences(request)
        page = drawn(
            request.scope,
            template,
            status,
            headers,
            viewer,
            places,
            {"side": side, "rights": rights_in(rights), **given},
            preferences,
        )
        page.head = self._head
        return page

    async def show_piece(self, request: Request, template: str, given: Mapping[str, Any]) -> Shown:
        rights = rights_in(request.actor.rights)
        preferences = await self.preferences(request)
        more = {"rights": rights, **given}
        return drawn(request.scope, template, 200, [], None, [], more, preferences)

    async def preferences(self, request: Request) -> Preferences:
        return USUAL if self._find_preferences is None else await self._find_preferences(request)


def told(scope: Scope, error: Refusal | None, answer: Answer) -> Answer | Shown:
    """
    A refusal of the whole request, as a page where a person looks at it.

    It reads nothing: the database may be away.
    """
    if not wants_page(scope):
        return answer
    if answer.status == 401:
        return to_sign_in(scope)
    code = "internal" if error is None else error.code
    way = WAYS_ON.get(code)
    if way is not None and scope["path"] != way:
        return see(way)
    message = None if error is None else str(error)
    given = {"status": answer.status, "message": message, "code": code}
    headers = [each for each in answer.headers if each[0] in KEPT]
    return drawn(scope, "web/told.html", answer.status, headers, None, [], given)


async def shown(
    request: Request, template: str, status: int = 200, headers: Headers | None = None, **given: Any
) -> Shown:
    """The page for who is signed in."""
    return await frame_of(request).show(request, template, status, headers or [], given)


async def piece(request: Request, template: str, **given: Any) -> Shown:
    """A part of a page without the frame, for a script to put in its place."""
    return await frame_of(request).show_piece(request, template, given)


def shown_outside(
    request: Request, template: str, status: int = 200, headers: Headers | None = None, **given: Any
) -> Shown:
    """A page for anybody."""
    return drawn(request.scope, template, status, headers or [], None, [], given)


def frame_of(request: Request) -> Frame:
    return request.services.pages  # type: ignore[no-any-return]


def drawn(
    scope: Scope,
    template: str,
    status: int,
    headers: Headers,
    viewer: Viewer | None,
    places: Sequence[Place],
    given: Mapping[str, Any],
    preferences: Preferences = USUAL,
) -> Shown:
    accept = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    if preferences.language:
        accept = preferences.language
    environment = ENVIRONMENTS[texts.chosen(accept, ENVIRONMENTS, FIRST)]
    html = environment.render_template(
        template,
        **{
            "viewer": viewer,
            "places": places,
            "path": scope["path"],
            "feed": scope.get("feed"),
            "own_id": None if viewer is None else scope["actor"].id,
            "is_local": viewer is not None and scope["actor"].is_local,
            "release": RELEASE,
            "address": address_of(scope),
            "refused": False,
            "preferences": preferences,
            "zone": preferences.zone,
            **given,
        },
    )
    body = html.encode()
    headers = [*headers, compression.VARIES]
    if can_be_packed(scope) and len(body) >= compression.WORTH_IT:
        body = compression.packed(body)
        headers += compression.PACKED
    return Shown(status, body, headers, head=OF_PAGE)


def can_be_packed(scope: Scope) -> bool:
    given = dict(scope["headers"])
    site, accept = given.get(b"sec-fetch-site"), given.get(b"accept-encoding", b"")
    is_safe = compression.is_safe(scope["method"], None if site is None else site.decode("latin-1"))
    return is_safe and compression.takes_gzip(accept.decode("latin-1"))


def environment_of(language: Texts) -> Environment:
    """Everything is escaped, and a name that is not there is an error."""
    environment = Environment(
        loader=find_template,
        undefined_behavior="strict",
        auto_escape_callback=lambda _: "html",
        trim_blocks=True,
        lstrip_blocks=True,
        debug=False,
    )
    for name, value in {
        "t": language.text,
        "rich": lambda key, **given: rich(language, key, given),
        "say": language.say,
        "language": language.language,
        "asset": lambda asset: safe(ASSETS.address(asset)),
        "scripts": scripts,
        "version": __version__,
    }.items():
        environment.add_global(name, value)
    environment.add_filter("moment", moment)
    environment.add_filter("machine", lambda at: at.isoformat())
    environment.add_filter("initials", initials)
    environment.add_filter("tone", tone)
    environment.add_filter("ago", lambda at: ago(language, at, datetime.now(UTC)))
    return environment


def rich(language: Texts, key: str, given: Mapping[str, Any]) -> str:
    """A text whose holes take HTML that templates have made; all else is escaped."""
    # As plain texts, which are put together in a fraction of the time.
    holes = {name: str(escape(value)) for name, value in given.items()}
    return safe(str(escape(language.entries[key])).format(**holes))


async def here(request: Request) -> Shown:
    """Who asks, and what runs here; an open page compares it with who and what it is of."""
    return Shown(
        200,
        b"",
        [
            (b"content-type", b"text/plain"),
            (b"cache-control", b"no-store"),
            (b"pullse-agent", request.actor.id.encode()),
            (b"pullse-release", RELEASE.encode()),
        ],
        head=OF_ASSET,
    )


def scripts(names: Sequence[str]) -> str:
    """Elements by their names, with what they import asked for at once."""
    roots = [f"{name}.js" for name in names]
    ahead = [
        f'<link rel="modulepreload" href="{ASSETS.address(e)}">' for e in ASSETS.imports(roots)
    ]
    own = [f'<script type="module" src="{ASSETS.address(e)}"></script>' for e in roots]
    return safe("\n".join([*ahead, *own]))


def find_template(name: str) -> str | None:
    """`access/account.html` is in the folder `templates` of the slice `access`."""
    slice_, _, file = name.partition("/")
    folder = HERE / "layouts" if slice_ == "web" else HERE.parent / slice_ / "templates"
    path = folder / file
    return path.read_text("utf-8") if path.is_file() else None


def moment(at: datetime, zone: str = "UTC") -> str:
    """The same in every language, and nobody has to guess a zone."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def ago(language: Texts, at: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits; `relative-time.js` says the same."""
    seconds = int((now - at).total_seconds())
    for unit, size in UNITS.items():
        if seconds >= size:
            count = seconds // size
            return language.text(f"ago.{unit}" if count > 1 else f"ago.one_{unit}", n=count)
    return language.text("ago.now")


def address_of(scope: Scope) -> str:
    """The path with what is asked for."""
    asked = scope["query_string"].decode("latin-1")
    return f"{scope['path']}?{asked}" if asked else str(scope["path"])


def initials(name: str) -> str:
    """Of the first and the last word; for a face of two letters."""
    words = [word for word in re.split(r"[^\w]+", name) if word]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def tone(key: object) -> int:
    """Which colour a person has, by the id (also `agent:<id>`): the same everywhere, for good."""
    return zlib.crc32(str(key).rpartition(":")[2].encode()) % TONES


def rights_in(rights: Container[str]) -> dict[str, bool]:
    """For templates: `rights.tickets_write`."""
    return {each.replace(":", "_"): each in rights for each in ASKED}


ASSETS = assets.read(HERE)
RELEASE = f"{__version__}-{ASSETS.version}"
TEXTS = texts.load(HERE / "texts")
ENVIRONMENTS = {name: environment_of(each) for name, each in TEXTS.items()}

pages: list[Call] = [
    showing("/assets/{version}/{name}", ASSETS.show),
    showing("/here", here, "me:read"),
]
