"""The pages of the workspace."""

from pullse.desk.pages import counts
from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = [*counts.pages]
places: list[Place] = []
