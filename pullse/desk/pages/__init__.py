"""The pages of the workspace."""

from pullse.kit.web import Call
from pullse.web.frame import Place

pages: list[Call] = []
places: list[Place] = []
