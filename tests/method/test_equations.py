"""The equation map (docs/equations.md): what it names exists and is used, nothing is missing."""

import ast
import importlib
import json
import re
from functools import cache
from pathlib import Path

import pytest

from ares import paths

COLUMNS = ["item", "what", "function", "test", "status"]
#: Numbered statements of the paper, steps of Algorithm 1 and departures of the release.
REQUIRED = (
    *("eq. 1", "eq. 3", "eq. 4", "eq. 10", "eq. 22", "eq. 27", "Lemma 1", "Lemma 2", "Lemma 3"),
    *("Lemma 4", "Prop. 1", "Prop. 2", "Cor. 1", "Theorem 1", "Theorem 2", "Donsker-Varadhan"),
    *("Alg. 1: m_t", "Alg. 1: rollouts branch", "Alg. 1: threshold", "Alg. 1: centred reward"),
    *("Alg. 1: length", "Alg. 1: psi_t", "Alg. 1: A_t", "threshold, main text"),
    *("threshold, App. H", "threshold, Alg. 1", "App. H: trigger", "N_HE", "Fig. 2b: lexicon"),
    *("T_d", "main text: lambda_d", "main text: g_d", "App. I", "App. M", "AdaCS: target length"),
    *("AdaCS: selection", "AdaCS: fine-tuning", "dynamic sampling", "clipped surrogate"),
    *("KL estimate", "lambda_d = 0", "release: entropy", "release: window", "release: padding"),
    *("release: threshold", "release: threshold average", "release: trigger", "release: buckets"),
    *("release: target and alpha", "release: inversion", "release: advantage", "presets"),
    *("release: filter order", "release: controller", "training loop"),
)


def table_rows() -> list[dict[str, str]]:
    """Every row of every table of the page."""
    lines = (paths.ROOT / "docs" / "equations.md").read_text(encoding="utf-8").splitlines()
    return [
        dict(zip(COLUMNS, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        for line in lines
        if line.startswith("|") and not line.startswith(("|---", "| item |"))
    ]


ROWS = table_rows()


@cache
def functions_of(path: Path) -> set[str]:
    """Names of the test functions of a file, without importing it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@cache
def names_used() -> set[str]:
    """Names that the code outside the tests uses; where one is defined or imported is no use."""
    texts = [path.read_text("utf-8") for path in (paths.ROOT / "ares").rglob("*.py")]
    for notebook in paths.NOTEBOOKS.glob("*.ipynb"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["item"])
def test_a_row_names_what_exists_and_is_used_outside_the_tests(row):
    assert row["status"] == "done"
    module, name = re.fullmatch(r"`(ares[\w.]*)\.(\w+)`", row["function"]).groups()
    assert callable(getattr(importlib.import_module(module), name))
    assert name in names_used()
    path, test = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", row["test"]).groups()
    assert test in functions_of(paths.ROOT / path)


def test_every_item_has_one_row():
    items = [row["item"] for row in ROWS]
    assert len(items) == len(set(items))
    for item in REQUIRED:  # a longer name that goes on with a word character is another item
        assert any(re.search(re.escape(item) + r"(?!\w)", each) for each in items), item
