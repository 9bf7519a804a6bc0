"""Pages for those who run pullse: its jobs, and how it is."""

from pullse.operations.pages import jobs
from pullse.web.frame import Place

pages = [*jobs.pages]
places = [Place("/jobs", "places.jobs", "queue", "operations:admin", "admin")]
