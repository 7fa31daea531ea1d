"""docs/files.md lists every file; layers look down only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ares.paths import ROOT
from ares.report.file_list import LAYERS, render

#: What starts the commands stands above them all.
STARTERS = {"ares/cli.py", "ares/__main__.py"}


def test_the_committed_page_is_the_generated_one():
    assert (ROOT / "docs/files.md").read_text(encoding="utf-8") == render()


def test_a_folder_that_is_in_no_layer_is_refused(tmp_path):
    (tmp_path / "ares/new").mkdir(parents=True)
    (tmp_path / "ares/new/__init__.py").touch()
    with pytest.raises(ValueError, match="LAYERS"):
        render(tmp_path)


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n)]
    skipped = {id(node) for hint in hints for node in ast.walk(hint)}
    names = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "ares":
                names |= {f"ares.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("ares.")}


def layer(module: str) -> str:
    part = module.split(".")[1]
    return part if part in LAYERS else ""


def test_no_import_goes_up():
    files = list((ROOT / "ares").rglob("*.py"))
    assert len(files) > 200
    upward = []
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        if name in STARTERS:
            continue
        own = layer(".".join(path.relative_to(ROOT).with_suffix("").parts))
        upward += [
            f"{name} imports {module}"
            for module in imported(path)
            if LAYERS.index(layer(module)) > LAYERS.index(own)
        ]
    assert upward == []


def test_pages_that_the_code_refers_to_are_there():
    pages = {
        page.name for form in ("*.md", "docs/*.md", "ares/**/*.md") for page in ROOT.glob(form)
    }
    files = [path for part in ("ares", "tests", "workflow") for path in (ROOT / part).rglob("*")]
    absent, found = [], 0
    for path in files:
        if path.suffix in (".py", ".smk", ".yaml"):
            for name in re.findall(r"([\w-]+\.md)\b", path.read_text(encoding="utf-8")):
                found += 1
                absent += [f"{path.relative_to(ROOT)}: {name}"] if name not in pages else []
    assert absent == [] and found > 50
