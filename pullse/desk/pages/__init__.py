"""The pages of the workspace."""

from pullse.desk.pages import (
    bulk,
    changing,
    counts,
    creating,
    facts,
    lists,
    look,
    palette,
    preview,
    story,
    ticket,
    trash,
    trashing,
    undoing,
)
from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = [
    *lists.pages,
    *trash.pages,
    *bulk.pages,
    *look.pages,
    *counts.pages,
    *palette.pages,
    *creating.pages,
    *preview.pages,
    *ticket.pages,
    *facts.pages,
    *changing.pages,
    *undoing.pages,
    *trashing.pages,
    *story.pages,
]
places: list[Place] = []
