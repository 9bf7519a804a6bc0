"""
Style sheets, scripts and icons, at addresses that change with what is in them, so that a
browser asks once: `/assets/<hash of all>/<name>`. The hash is a folder so that a script finds
others by `./name.js`. They are compressed once, at the start.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pullse.errors import NotFound
from pullse.kit import joining
from pullse.kit.compression import ONCE, PACKED, VARIES, WORTH_IT, packed, takes_gzip
from pullse.kit.headers import OF_ASSET
from pullse.kit.pages import Shown
from pullse.kit.web import Request

TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
FOR_GOOD = (b"cache-control", b"public, max-age=31536000, immutable")
FOR_NOW = (b"cache-control", b"no-store")
"""An older or a newer process made the page: better this than nothing, but not to keep."""


class Assets:
    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._packed = {
            name: packed(content, ONCE)
            for name, content in files.items()
            if len(content) >= WORTH_IT
        }
        whole = hashlib.sha256()
        for name in sorted(files):
            whole.update(f"{name}\n{len(files[name])}\n".encode() + files[name])
        self.version = whole.hexdigest()[:16]

    def address(self, name: str) -> str:
        """Raises KeyError for one that is not there."""
        self._files[name]
        return f"/assets/{self.version}/{name}"

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def text(self, name: str) -> str:
        return self._files[name].decode()

    def imports(self, names: Iterable[str]) -> list[str]:
        """The scripts that these import, and those import: a browser asks for all at once."""
        found = list(names)
        asked = len(found)
        for name in found:
            for other in joining.imports(self.text(name)):
                if other not in found:
                    found.append(other)
        return found[asked:]

    async def show(self, request: Request) -> Shown:
        name, version = request.path_params["name"], request.path_params["version"]
        content = self._files.get(name)
        if content is None:
            raise NotFound("There is nothing at this address.")
        kept = FOR_GOOD if version == self.version else FOR_NOW
        headers = [(b"content-type", TYPES[Path(name).suffix]), kept, VARIES]
        if name in self._packed and takes_gzip(request.header(b"accept-encoding")):
            content = self._packed[name]
            headers += PACKED
        return Shown(200, content, headers, head=OF_ASSET)


def read(folder: Path) -> Assets:
    """
    One style sheet out of all, in the order of their names, and one script; besides them the
    sheets in `css/own`, for one page each, each script by itself, for pages that need few, and
    icons as they are.
    """
    css = folder / "css"
    style = "\n".join(each.read_text("utf-8") for each in sorted(css.glob("*.css")))
    own = {each.name: joining.styles(each.read_text("utf-8")) for each in css.glob("own/*.css")}
    scripts = {each.name: each.read_text("utf-8") for each in (folder / "js").glob("*.js")}
    joined = own | {"pullse.css": joining.styles(style), "pullse.js": joining.scripts(scripts)}
    icons = {each.name: each.read_bytes() for each in (folder / "icons").glob("*.svg")}
    return Assets(icons | {name: text.encode() for name, text in (scripts | joined).items()})
