"""The pages of the workspace."""

from pullse.desk.pages import counts, palette
from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = [*counts.pages, *palette.pages]
places: list[Place] = []
