"""The form of the notebooks: they open by themselves, answer first, and read on the web."""

import json
import re

import pytest

from ares import paths
from ares.io import read_table
from tests.notebooks.running import LISTED
from tests.numbers import strays

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
#: The sections, in this order. Measurements and figures may come several times, one per topic.
BEFORE = ["Question", "Answer", "What the paper says", "Method"]
AFTER = ["What we conclude", "What we can't conclude"]
#: The tag of cells whose outputs nbval compares.
CHECKED = "nbval-check-output"
#: A figure's name where it is saved.
SAVED = re.compile(r'save_figure\((?:[^()]|\([^()]*\))*"(\w+)"\)')


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def cells(request) -> list[dict]:
    notebook = json.loads(request.param.read_text(encoding="utf-8"))
    assert "widgets" not in notebook["metadata"]
    return notebook["cells"]


def code(cells: list[dict], tag: str = "") -> list[dict]:
    """The code cells, or those with a tag."""
    found = [cell for cell in cells if cell["cell_type"] == "code"]
    return [c for c in found if tag in ("", *c["metadata"].get("tags", []))]


def kinds(cell: dict) -> set[str]:
    """What a cell's outputs are: kinds of data, or stream."""
    named = {kind for output in cell["outputs"] for kind in output.get("data", {})}
    return named | {o["output_type"] for o in cell["outputs"] if "data" not in o}


def sections(cells: list[dict]) -> list[tuple[str, str, list[dict]]]:
    """Heading, text and code cells of every section."""
    found: list[tuple[str, str, list[dict]]] = [("", "", [])]
    for cell in cells:
        if cell["cell_type"] == "code":
            found[-1][2].append(cell)
            continue
        _, *parts = re.split(r"^## ", "".join(cell["source"]), flags=re.MULTILINE)
        found += [(*part.partition("\n")[::2], []) for part in parts]
    return found[1:]


def test_parameters_are_literal_and_figures_are_those_it_is_listed_with(cells, request):
    (parameters,) = code(cells, "parameters")
    for line in "".join(parameters["source"]).splitlines():
        assert re.match(r'\w+ = ("[^"{}]*"|\d+(\.\d+)?)\s*(#|$)', line), line
    saved = {name for cell in code(cells) for name in SAVED.findall("".join(cell["source"]))}
    name = request.node.callspec.params["cells"].stem
    assert saved == set(LISTED[name]["figures"])


def test_it_has_the_sections_of_all_notebooks_and_every_cell_was_run(cells):
    assert "".join(cells[0]["source"]).startswith("# ")
    headings = [heading for heading, _, _ in sections(cells)]
    assert headings[:4] == BEFORE and headings[-2:] == AFTER
    between = [heading.split(":")[0] for heading in headings[4:-2]]
    assert between[0] == "Measurement" and set(between) == {"Measurement", "Figure"}
    counts = [cell["execution_count"] for cell in code(cells)]
    assert counts == list(range(1, len(counts) + 1))
    assert not [c["id"] for c in code(cells) if "error" in kinds(c)]
    checked = code(cells, CHECKED)
    assert checked
    for cell in checked:
        assert cell["outputs"] and "image/png" not in kinds(cell), cell["id"]
    assert "jupyter.widget" not in json.dumps(cells)
    folder = re.compile(r"(?<![\w.])/(home|tmp|root|work|Users|opt|usr)/")
    assert not folder.search(json.dumps([[c["source"], c.get("outputs")] for c in cells]))


def test_it_opens_with_an_answer_whose_numbers_are_those_of_the_reference_run(request, cells):
    """They round parts of its findings, or what checked cells below the answer print."""
    listed = LISTED[request.node.callspec.params["cells"].stem]
    (answer,) = (text for heading, text, _ in sections(cells[:1]) if heading == "Answer")
    assert re.search(r"\d", answer) and ("reference run" in answer or not listed["tables"])
    table = read_table(paths.REFERENCE / "findings.csv")
    parts = table[table["id"].str.split(".").str[0].isin(list(listed.get("findings", {})))]
    below = next(own for heading, _, own in sections(cells) if heading == "Answer")
    own = code(below, CHECKED) or code(cells, CHECKED)
    text = json.dumps([output for cell in own for output in cell["outputs"]])
    printed = map(float, re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text))
    values = parts[["ours", "ci_low", "ci_high"]].to_numpy().ravel()
    assert strays(answer, [*values, *printed]) == []
