"""The form of the notebooks: they open by themselves, answer first, and read on the web."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from ares import paths

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
#: Lines of a code cell, blank ones not counted.
LONGEST = 40
#: The sections, in this order. Measurements and figures may come several times, one per topic.
BEFORE = ["Question", "Answer", "What the paper says", "Method"]
PAIR = ["Measurement", "Figure"]
AFTER = ["What we conclude", "What we can't conclude"]
#: Ends of a sentence: not the point of an abbreviation, nor that of a number.
SENTENCE_END = re.compile(
    r"(?<!\bFig)(?<!\bFigs)(?<!\beq)(?<!\bTab)(?<!\bAlg)(?<!\bApp)(?<!i\.e)(?<!e\.g)[.!?](?=\s|$)"
)
#: A figure's name where it is saved.
SAVED = re.compile(r'save_figure\((?:[^()]|\([^()]*\))*"(\w+)"\)')
LISTED = yaml.safe_load((paths.ROOT / "workflow/notebooks.yaml").read_text(encoding="utf-8"))


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


def sections(cells: list[dict]) -> list[tuple[str, str, list[dict]]]:
    """Heading, text and code cells of every section."""
    found: list[tuple[str, str, list[dict]]] = []
    for cell in cells:
        if cell["cell_type"] == "code":
            found and found[-1][2].append(cell)
            continue
        before, *parts = re.split(r"^## ", "".join(cell["source"]), flags=re.MULTILINE)
        if found:
            heading, text, own = found[-1]
            found[-1] = (heading, text + "\n" + before, own)
        for part in parts:
            heading, _, text = part.partition("\n")
            found.append((heading, text, []))
    return found


def test_it_opens_with_its_title(cells):
    assert cells[0]["cell_type"] == "markdown"
    assert "".join(cells[0]["source"]).startswith("# ")


def test_it_has_the_sections_of_all_notebooks_in_their_order(cells):
    headings = [heading for heading, _, _ in sections(cells)]
    assert headings[:4] == BEFORE and headings[-2:] == AFTER
    between = [heading.split(":")[0] for heading in headings[4:-2]]
    assert between[0] == PAIR[0] and set(between) == set(PAIR)


def test_every_section_has_something_in_it(cells):
    empty = [name for name, text, own in sections(cells) if not text.strip() and not own]
    assert empty == []


def test_the_method_is_told_in_two_sentences(cells):
    (method,) = [text for heading, text, _ in sections(cells) if heading == "Method"]
    assert len(SENTENCE_END.findall(method)) == 2


def kinds(cell: dict) -> set[str]:
    """What a cell's outputs are: kinds of data, or stream."""
    named = {kind for output in cell["outputs"] for kind in output.get("data", {})}
    return named | {o["output_type"] for o in cell["outputs"] if "data" not in o}


def test_a_measurement_shows_numbers_and_a_figure_draws(cells):
    for heading, _, own in sections(cells):
        shown = set().union(*map(kinds, own))
        if heading.split(":")[0] == "Measurement":
            assert shown & {"stream", "text/html", "text/markdown"}, heading
        if heading.split(":")[0] == "Figure":
            assert "image/png" in shown, heading


def test_the_answer_has_a_number(cells):
    ((text, own),) = [(text, own) for name, text, own in sections(cells) if name == "Answer"]
    assert re.search(r"\d", text + json.dumps([cell["outputs"] for cell in own]))


def test_what_we_conclude_is_computed(cells):
    (own,) = [own for heading, _, own in sections(cells) if heading == "What we conclude"]
    assert own or "| as stated |" in "".join("".join(c["source"]) for c in cells)


def test_cells_are_short(cells):
    lengths = {
        cell["id"]: len([line for line in "".join(cell["source"]).splitlines() if line.strip()])
        for cell in code(cells)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_its_figures_are_those_it_is_listed_with(request, cells):
    saved = {name for cell in code(cells) for name in SAVED.findall("".join(cell["source"]))}
    name = request.node.callspec.params["cells"].stem
    assert saved == set(LISTED[name]["figures"])


def test_no_widgets_are_stored(request, cells):
    notebook = json.loads(request.node.callspec.params["cells"].read_text(encoding="utf-8"))
    assert "widgets" not in notebook["metadata"]
    assert "jupyter.widget" not in json.dumps(cells)


def test_every_cell_was_run_without_errors_and_in_order(cells):
    counts = [cell["execution_count"] for cell in code(cells)]
    assert counts == list(range(1, len(counts) + 1))
    assert not [o for cell in code(cells) for o in cell["outputs"] if o["output_type"] == "error"]


def test_checked_cells_show_something_and_draw_nothing(cells):
    checked = tagged(cells, "nbval-check-output")
    assert checked
    for cell in checked:
        assert cell["outputs"], cell["id"]
        assert not kinds(cell) & {"image/png", "error"}, cell["id"]


def test_a_figure_is_shown(cells):
    assert any("image/png" in kinds(cell) for cell in code(cells))


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
