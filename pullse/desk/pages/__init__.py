"""The pages of the workspace."""

from pullse.desk.pages import lists, palette
from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = [*lists.pages, *palette.pages]
places: list[Place] = []
