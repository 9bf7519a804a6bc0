"""
Many small files as one, for the wire: scripts and style sheets stay what people wrote, and a
browser asks for two files, not for sixty. Done at each start, in a few milliseconds; nothing is
renamed or rewritten, but comments and indents stay at home.

A script is an ES module that imports from its neighbours (`import { a } from './b.js'`) and
exports functions, classes and constants where they are declared. Each becomes a function of its
own that gives what it exports, after those that it imports. What is written in another way
raises ValueError.
"""

import re
from collections.abc import Iterator, Mapping

IMPORT = re.compile(r"^import (?:\{([^}]*)\} from )?'\./([\w-]+\.js)'$", re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)
OTHER = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
BLOCK = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)
INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
EMPTY = re.compile(r"\n{2,}")
REMARK = re.compile(r"/\*.*?\*/", re.DOTALL)


def scripts(files: Mapping[str, str]) -> str:
    """All modules as one, in an order in which none is needed before it is there."""
    names = order(files)
    parts = (f"const {variable(name)} = (() => {{\n{body(files[name])}}})()\n" for name in names)
    return "".join(parts) + f"export {{ {', '.join(map(variable, names))} }}\n"


def styles(text: str) -> str:
    return EMPTY.sub("\n", INDENT.sub("", REMARK.sub("", text))).lstrip()


def order(files: Mapping[str, str]) -> list[str]:
    """Raises ValueError for modules that import each other in a circle."""
    done: list[str] = []

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"scripts import each other: {' → '.join((*above, name))}")
        if name not in done:
            for other in imports(files[name]):
                add(other, (*above, name))
            done.append(name)

    for name in sorted(files):
        add(name, ())
    return done


def imports(text: str) -> Iterator[str]:
    return (found[2] for found in IMPORT.finditer(text))


def body(text: str) -> str:
    given = [found[2] for found in EXPORT.finditer(text)]
    text = EXPORT.sub(r"\1 \2", IMPORT.sub(taken, LINE.sub("", BLOCK.sub("", text))))
    if wrong := OTHER.search(text):
        raise ValueError(f"a script that can't be joined with others: {wrong[0]}")
    text = EMPTY.sub("\n", INDENT.sub("", text))
    return f"{text.strip()}\n" + (f"return {{ {', '.join(given)} }}\n" if given else "")


def taken(found: re.Match[str]) -> str:
    if found[1] is None:
        return ""
    names = re.sub(r"\s+", " ", found[1].replace(" as ", ": ")).strip()
    return f"const {{ {names} }} = {variable(found[2])}"


def variable(name: str) -> str:
    return "$" + name.removesuffix(".js").replace("-", "_")
