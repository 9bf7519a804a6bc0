"""Many small files become one, and nothing else than their comments and indents is gone."""

import re

import pytest

from pullse.kit import joining
from pullse.web.frame import ASSETS

FILES = {
    "a.js": "/* What it is for. */\n\nimport { b, c as d } from './b.js'\nimport './c.js'\n\n"
    "export const a = () => b + d // one\n",
    "b.js": "// A line.\nexport const b = '/* kept */'\nexport class c {\n  #x = 1\n}\n",
    "c.js": "document.title = 'x'\n",
}


def test_a_module_comes_after_those_that_it_imports() -> None:
    assert joining.order(FILES) == ["b.js", "c.js", "a.js"]


def test_each_is_a_function_of_its_own_that_gives_what_it_exports() -> None:
    assert joining.scripts(FILES) == (
        "const $b = (() => {\nconst b = '/* kept */'\nclass c {\n#x = 1\n}\n"
        "return { b, c }\n})()\n"
        "const $c = (() => {\ndocument.title = 'x'\n})()\n"
        "const $a = (() => {\nconst { b, c: d } = $b\nconst a = () => b + d // one\n"
        "return { a }\n})()\n"
        "export { $b, $c, $a }\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "export { a }",
        "export default a",
        "export let a = 1",
        "import a from './b.js'",
        "import * as a from './b.js'",
        "import { a } from '../b.js'",
        "import { a } from 'elsewhere'",
    ],
)
def test_what_is_written_in_another_way_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can't be joined"):
        joining.scripts({"x.js": text + "\n"})


def test_a_circle_is_refused() -> None:
    circle = {"a.js": "import { b } from './b.js'\n", "b.js": "import { a } from './a.js'\n"}
    with pytest.raises(ValueError, match="import each other: a"):
        joining.scripts(circle)


def test_ours_are_all_in_it() -> None:
    script, style = ASSETS.text("pullse.js"), ASSETS.text("pullse.css")
    for name in ASSETS.names:
        if name.endswith(".js") and name != "pullse.js":
            assert f"const {joining.variable(name)} = " in script
            defined = re.findall(r"customElements\.define\('([\w-]+)'", ASSETS.text(name))
            assert all(f"define('{each}'" in script for each in defined)
    assert "/*" not in style
    assert style.count("{") == style.count("}") > 500
