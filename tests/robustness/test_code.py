"""Nothing in the code loads pickles, evaluates text, or starts a shell.

Most of it ruff refuses (`make lint`, the rules S and TID251 in pyproject.toml); here is the rest.
"""

from __future__ import annotations

import ast
import json
import re

import pytest
from typer.main import get_command

from ares.cli import app
from ares.paths import ROOT

CALLS = {"compile", "__import__", "breakpoint"}
#: Options that must be off, and on.
OFF, ON = {"allow_pickle", "trust_remote_code"}, {"weights_only", "use_safetensors"}


def sources() -> dict[str, str]:
    """Python of the package, the workflow and the code cells of the notebooks, by place."""
    files = [*(ROOT / "ares").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]
    found = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        lines = "\n".join(code).splitlines()  # one that starts with ! is no Python
        found[path.name] = "\n".join("" if line.startswith("%") else line for line in lines)
    return found


def dangers(text: str) -> list[str]:
    """Calls that could run code from data."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    words = [(it.arg, ast.unparse(it.value) == "False") for call in calls for it in call.keywords]
    found = [name for name in (ast.unparse(call.func) for call in calls) if name in CALLS]
    return found + [arg for arg, off in words if arg in (ON if off else OFF)]


def test_no_code_comes_from_data():
    found = {place: dangers(text) for place, text in sources().items()}
    assert "ares/cli/__init__.py" in found and len(found) > 100
    assert {place: what for place, what in found.items() if what} == {}


def test_the_snakefiles_hand_no_text_to_python():
    for path in [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]:
        text = path.read_text("utf-8")
        for word in ("eval(", "exec(", "pickle", "os.system", "trust_remote_code"):
            assert word not in text, (path, word)


def test_no_command_takes_a_key():
    """Keys come from the environment: a command line is seen by every user of a machine."""
    for name, command in get_command(app).commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        secret = {o for o in options if any(w in o for w in ("key", "secret", "password"))}
        assert secret <= {"--key-variable", "--judge-key-variable"}, name


@pytest.mark.parametrize(
    "template", sorted((ROOT / "ares").rglob("*.html")), ids=lambda path: path.name
)
def test_every_page_has_a_policy(template):
    """Nothing is allowed but what a page names; scripts and styles only by their hashes."""
    found = re.search(
        r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', template.read_text("utf-8")
    )
    assert found is not None
    assert "default-src 'none'" in found[1] and "base-uri 'none'" in found[1]
    assert "unsafe-eval" not in found[1] and "http:" not in found[1] and "*" not in found[1]
    script = re.search(r"script-src ([^;]*)", found[1])
    assert script is None or "unsafe-inline" not in script[1]
