"""Notebooks beside the page: formulas without MathJax, outputs as text, nothing from a network."""

from __future__ import annotations

import json
import re

import pytest

from ares import paths
from ares.errors import UserError
from ares.findings.notebooks import markdown, mathml, rendered
from ares.findings.page import environment, style
from tests.findings.conftest import HOSTILE, write_notebook

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("notebook") / "02_windows.ipynb"
    write_notebook(path)
    return rendered(path, environment(), style())


def test_a_formula_is_drawn_by_the_browser_itself(html):
    assert "<msub><mi>W</mi><mi>t</mi></msub>" in html and "<mfrac>" in html
    assert "$" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def test_outputs_are_text_widgets_are_left_out_and_nothing_is_loaded(html):
    assert HOSTILE not in html and "&lt;script&gt;" in html
    assert "<script" not in html and "model_id" not in html
    assert "a slider" in html
    assert "<title>Windows &amp; entropy</title>" in html
    assert re.findall(r'(?:src|href)="(?!#|\.\./index\.html)[^"]*"', html) == []
    assert "@import" not in html and "url(" not in html


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_a_notebook_can_be_drawn(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert all(markdown(text) for text in texts)


def test_brackets_of_any_size_and_scripts_without_a_base():
    assert mathml(r"\big(x\big)") == mathml("(x)")
    assert "<msup><mrow></mrow><mi>a</mi></msup>" in mathml("^a")


def test_an_unknown_formula_is_named_and_what_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "n.ipynb"
    write_notebook(path)
    path.write_text(path.read_text().replace("$W_t$", r"$\\nonsense$"))
    with pytest.raises(UserError, match=r"n\.ipynb: the formula \\nonsense can't be drawn"):
        rendered(path, environment(), style())
    path.write_text("no notebook")
    with pytest.raises(UserError, match="not a notebook"):
        rendered(path, environment(), style())
