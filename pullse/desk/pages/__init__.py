"""The pages of the workspace."""

from pullse.desk.pages import palette, story
from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = [*palette.pages, *story.pages]
places: list[Place] = []
