"""The form of the notebooks: they open by themselves, read on the web, and stay short."""

from __future__ import annotations

import json
import re

import pytest

from ares import paths

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
#: Lines of a code cell.
LONGEST = 28


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def cells(request) -> list[dict]:
    return json.loads(request.param.read_text(encoding="utf-8"))["cells"]


def code(cells: list[dict]) -> list[dict]:
    return [cell for cell in cells if cell["cell_type"] == "code"]


def tagged(cells: list[dict], tag: str) -> list[dict]:
    return [cell for cell in code(cells) if tag in cell["metadata"].get("tags", [])]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 6


def test_one_cell_of_parameters_with_literal_values(cells):
    (parameters,) = tagged(cells, "parameters")
    for line in "".join(parameters["source"]).splitlines():
        assert re.match(r'\w+ = ("[^"{}]*"|\d+(\.\d+)?)\s*(#|$)', line), line


def test_it_opens_with_its_question_and_says_what_the_paper_says(cells):
    first = "".join(cells[0]["source"])
    assert cells[0]["cell_type"] == "markdown" and first.startswith("# ")
    assert "**Question.**" in first and re.search(r"\*\*What the \w+ says?\.\*\*", first)


def test_cells_are_short(cells):
    lengths = {cell["id"]: len("".join(cell["source"]).splitlines()) for cell in code(cells)}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_cell_was_run_without_errors_and_in_order(cells):
    counts = [cell["execution_count"] for cell in code(cells)]
    assert counts == list(range(1, len(counts) + 1))
    assert not [o for cell in code(cells) for o in cell["outputs"] if o["output_type"] == "error"]


def test_checked_cells_print_something_and_draw_nothing(cells):
    checked = tagged(cells, "nbval-check-output")
    assert checked
    for cell in checked:
        assert cell["outputs"], cell["id"]
        assert all(output["output_type"] == "stream" for output in cell["outputs"]), cell["id"]


def test_a_figure_is_shown(cells):
    assert any("image/png" in o.get("data", {}) for c in code(cells) for o in c["outputs"])


def test_no_folder_of_one_machine_stands_in_it(cells):
    text = [line for cell in cells for line in cell["source"]]
    text += [line for c in code(cells) for o in c["outputs"] for line in o.get("text", [])]
    found = [
        line for line in text if re.search(r"(?<![\w.])/(home|tmp|root|work|Users|opt|usr)/", line)
    ]
    assert found == []


def test_ids_are_unique(cells):
    ids = [cell["id"] for cell in cells]
    assert len(ids) == len(set(ids))
