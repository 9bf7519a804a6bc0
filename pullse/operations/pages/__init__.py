"""Pages for those who run pullse: its jobs, and how it is."""

from pullse.operations.pages import jobs, operations
from pullse.web.frame import Place

pages = [*jobs.pages, *operations.pages]
places = [
    Place("/jobs", "places.jobs", "jobs", "operations:admin", "admin", "g j"),
    Place("/operations", "places.operations", "health", "operations:read", "admin", "g h"),
]
