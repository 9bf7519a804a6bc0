"""The pages of the workspace."""

from pullse.desk.pages import changing, counts, creating, palette, ticket, trashing, undoing
from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = [
    *counts.pages,
    *palette.pages,
    *creating.pages,
    *ticket.pages,
    *changing.pages,
    *undoing.pages,
    *trashing.pages,
]
places: list[Place] = []
