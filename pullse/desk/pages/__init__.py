"""The pages of the workspace."""

from pullse.desk.pages import (
    changing,
    counts,
    creating,
    facts,
    lists,
    palette,
    story,
    ticket,
    trashing,
    undoing,
)
from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = [
    *lists.pages,
    *counts.pages,
    *palette.pages,
    *creating.pages,
    *ticket.pages,
    *facts.pages,
    *changing.pages,
    *undoing.pages,
    *trashing.pages,
    *story.pages,
]
places: list[Place] = []
