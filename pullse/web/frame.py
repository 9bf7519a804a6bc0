"""
The frame that every page stands in: who looks at it, where else one may go, the language.

A slice puts its templates into its folder `templates`, lists its pages and its `places` (the
entries of the menu), and answers with `shown`; `app.py` adds them up.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from minijinja import Environment, safe

from pullse import __version__
from pullse.errors import Refusal
from pullse.kit import assets, texts
from pullse.kit.db import Struct
from pullse.kit.headers import OF_PAGE
from pullse.kit.pages import Shown, see, showing, to_sign_in, wants_page
from pullse.kit.texts import Texts
from pullse.kit.web import Answer, Call, Headers, Request, Scope

HERE = Path(__file__).parent
FIRST = "en"
WAYS_ON = {"second_factor_needed": "/account/second-factor"}
"""Where one can do something about a refusal."""
KEPT = frozenset({b"retry-after", b"connection"})
"""Of the head of an answer in whose place a page is shown."""


class Viewer(Struct, frozen=True):
    """Who looks at a page. Without a session it is who has the machine, or a token."""

    name: str
    email: str | None
    role: str
    has_session: bool


class Place(Struct, frozen=True):
    """An entry of the menu, for those with the permission. `text` is a key of the texts."""

    path: str
    text: str
    icon: str
    permission: str


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
        places: Sequence[Place] = (),
        providers: Sequence[Provider] = (),
    ) -> None:
        self._find_viewer = find_viewer
        self._places = places
        self.providers = providers

    async def show(
        self, request: Request, template: str, status: int, headers: Headers, given: Any
    ) -> Shown:
        viewer = await self._find_viewer(request)
        rights = request.actor.rights
        places = [each for each in self._places if each.permission in rights]
        return drawn(request.scope, template, status, headers, viewer, places, given)


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
) -> Shown:
    accept = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    environment = ENVIRONMENTS[texts.chosen(accept, ENVIRONMENTS, FIRST)]
    html = environment.render_template(
        template,
        **{"viewer": viewer, "places": places, "path": scope["path"], "refused": False, **given},
    )
    return Shown(status, html.encode(), headers, head=OF_PAGE)


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
        "say": language.say,
        "language": language.language,
        "asset": lambda asset: safe(ASSETS.address(asset)),
        "version": __version__,
    }.items():
        environment.add_global(name, value)
    environment.add_filter("moment", moment)
    environment.add_filter("machine", lambda at: at.isoformat())
    return environment


def find_template(name: str) -> str | None:
    """`access/account.html` is in the folder `templates` of the slice `access`."""
    slice_, _, file = name.partition("/")
    folder = HERE / "layouts" if slice_ == "web" else HERE.parent / slice_ / "templates"
    path = folder / file
    return path.read_text("utf-8") if path.is_file() else None


def moment(at: datetime) -> str:
    """The same in every language, and nobody has to guess a zone."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


ASSETS = assets.read(HERE)
TEXTS = texts.load(HERE / "texts")
ENVIRONMENTS = {name: environment_of(each) for name, each in TEXTS.items()}

pages: list[Call] = [showing("/assets/{version}/{name}", ASSETS.show)]
