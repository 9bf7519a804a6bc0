"""/api/markdown: what a description will look like on its page."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pullse.kit.markdown import MOST, rendered
from pullse.kit.web import Answer, Call, Request, encoded, ok


class Markdown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=MOST, description="CommonMark, with tables.")]


class Html(msgspec.Struct, frozen=True):
    html: Annotated[
        str,
        Meta(description="Blocks that can be shown as they are: nothing in them runs or loads."),
    ]


async def render(request: Request) -> Answer:
    asked = await request.read_body(Markdown)
    return ok(request, encoded(Html(await rendered(asked.text))))


calls = [
    Call(
        "POST",
        "/api/markdown",
        render,
        "Show what a description will look like",
        "Text has been rendered.",
        body=Markdown,
        data=Html,
        example={"html": '<p dir="auto">Use <strong>both</strong> pedals.</p>\n'},
        body_example={"text": "Use **both** pedals."},
        tag="tickets",
        permission="tickets:write",
        is_repeatable=False,
    ),
]
