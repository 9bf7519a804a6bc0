"""Pages about real time."""

from pullse.gateway.pages import keys
from pullse.web.frame import Place

pages = [*keys.pages]
places = [Place("/realtime", "places.realtime", "bolt", "keys:admin", "admin", "g l")]
