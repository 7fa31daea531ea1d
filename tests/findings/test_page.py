"""The findings page: all of the rule book, the numbers of the table, captions, notebooks, links."""

import json
import math
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ares import paths
from ares.cli import main
from ares.errors import UserError
from ares.findings import page as made
from ares.findings.notebooks import markdown, mathml, rendered
from ares.findings.page import CAPTIONS, caption, environment, style
from ares.findings.verdicts import as_text
from ares.io import read_json, read_table, write_json, write_table
from tests.findings.conftest import BOOK, HOSTILE, made_up_run, notebooks, write_notebook

#: How rows read: numbers and verdicts of the reference run by hand, rules, units of the interval.
READS = {
    "F1.causal-gain": ("−0.220", "[−0.277, −0.159]", "contradicted",
                       "whole 95% interval above 0, number at least 0.02 above it"),
    "F5.medium": ("one model, over problems",),
    "F9.hard-length-trained": (" 3,667.85 ", "3 seeds, and problems"),
    "F10.linear": ("whole interval between −0.2 and 0.2",),
    "A3.length-dapo": ("0.025", "[−0.014, 0.091]", "missed"),
}  # fmt: skip


class Reader(HTMLParser):
    """Addresses, ids and tags of a page, and the numbers of every row that has some."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.tags: Counter[str] = Counter()
        self.cells: dict[str, dict[str, str]] = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags[tag] += 1
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.loads += [found["src"]] if "src" in found else []
        if "data-ours" in found:
            self.cells[self.ids[-1]] = found


@pytest.fixture(scope="module")
def text(page) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def read(text) -> Reader:
    return Reader(text)


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def row_of(text: str, name: str) -> str:
    """The text of a part's row."""
    return words(re.search(rf'<tr id="{re.escape(name)}".*?</tr>', text, re.DOTALL)[0])


def test_every_part_is_on_the_page_with_the_numbers_of_the_table(text, read):
    table = read_table(paths.REFERENCE / "findings.csv").set_index("id")
    judged = [finding for finding in BOOK if finding["id"] in table.index]
    parts = {part["id"]: part for finding in judged for part in finding["parts"]}
    assert read.cells.keys() == parts.keys()
    assert {finding["id"] for finding in judged} <= set(read.ids)
    for name, cell in read.cells.items():
        shown = [float(cell[f"data-{key}"]) for key in ("ours", "low", "high")]
        stored = table.loc[name, ["ours", "ci_low", "ci_high"]].tolist()
        assert shown == pytest.approx(stored, nan_ok=True), name
        assert parts[name]["unit"] in row_of(text, name)


@pytest.mark.parametrize("name", READS)
def test_numbers_rules_and_verdicts_as_they_read(text, name):
    row = row_of(text, name)
    for expected in READS[name]:
        assert expected in row


def test_the_page_says_the_score_and_every_link_leads_somewhere(text, page, read):
    scores = re.search(r'<ul class="scores".*?</ul>', text, re.DOTALL)[0]
    assert (
        words(scores) == "3 ✓ reproduced 3 ◐ partly 2 ✗ contradicted 1 ≈ equivalent 2 ○ undecided"
    )
    assert len(set(read.links)) > 60
    assert dead_links(page, page.parent) == []
    assert dead_links(made.REFERENCE_PAGE, paths.ROOT) == []


def dead_links(page: Path, inside: Path) -> list[str]:
    """Addresses of a page that lead nowhere, or out of a folder."""
    read = Reader(page.read_text(encoding="utf-8"))

    def lives(link: str) -> bool:
        parts = urlsplit(link)
        if not parts.path:
            return parts.fragment in read.ids
        target = (page.parent / unquote(parts.path)).resolve()
        return target.is_file() and target.is_relative_to(inside) and not parts.netloc

    return [link for link in read.links if not lives(link)]


def test_nothing_is_loaded_and_nothing_runs(text, read):
    assert len(read.loads) == sum(len(spec["figures"]) for spec in notebooks().values())
    assert all(address.startswith("data:image/png;base64,") for address in read.loads)
    assert read.tags["script"] == read.tags["link"] == read.tags["iframe"] == 0
    assert "default-src 'none'" in text and "http-equiv" in text
    assert HOSTILE not in text and "<script" not in text
    assert "&lt;script&gt;window.hit=1&lt;/script&gt;" in text


def test_a_run_without_intervals_says_that_it_proves_nothing(tmp_path):
    made_up_run(tmp_path)
    table = tmp_path / "results/smoke/findings.csv"
    rows = read_table(table).assign(ci_low=math.nan, ci_high=math.nan, n_seeds=1)
    rows.loc[rows["id"].str.startswith("F3."), "ours"] = math.nan
    write_table(table, as_text(rows.assign(verdict="undecided")))
    text = made.page(table.parent, tmp_path / "figures/smoke", "smoke", made.OF_REFERENCE)
    assert "Most numbers of this run have no interval" in text
    assert "no interval: 1 of at least 2 seeds" in row_of(text, "F8.accuracy-kl")
    assert "no number" in row_of(text, "F3.hwe")
    assert "no interval: too few problems" in row_of(text, "F5.medium")


def report(place: Path, monkeypatch, *options: str) -> int:
    monkeypatch.setattr(paths, "RESULTS", place / "results")
    monkeypatch.setattr(paths, "FIGURES", place / "figures")
    return main(["report", "smoke", *options])


BROKEN = {
    "results/smoke/manifest.json": "has not been run to its end",
    "results/smoke/findings.csv": "no such file",
    "figures/smoke/radar.png": "no such file",
    "results/smoke/notebooks/02_windows.ipynb": "no such file",
}


@pytest.mark.parametrize("file", BROKEN)
def test_a_missing_file_is_one_line_and_leaves_the_page_of_before(
    place, tmp_path, monkeypatch, capsys, file
):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).unlink()
    assert report(tmp_path, monkeypatch) == 2
    assert BROKEN[file] in capsys.readouterr().err
    assert (tmp_path / "results/smoke/report/index.html").is_file()


def test_other_rule_books_and_folders_in_use_are_refused(tmp_path, monkeypatch, capsys, place):
    made_up_run(tmp_path)
    table, manifest = (tmp_path / "results/smoke" / n for n in ("findings.csv", "manifest.json"))
    kept = [line for line in table.read_text().splitlines(True) if not line.startswith("F3.hwe,")]
    table.write_text("".join(kept))
    assert report(tmp_path, monkeypatch) == 2
    assert "no row F3.hwe, which config/findings.yaml has" in capsys.readouterr().err
    write_json(manifest, read_json(manifest) | {"schema": 999})
    assert report(tmp_path, monkeypatch) == 2
    assert "of schema version 999" in capsys.readouterr().err
    kept = tmp_path / "mine" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("years")
    assert report(place, monkeypatch, "--out", str(kept.parent)) == 2
    assert "has other files" in capsys.readouterr().err
    assert kept.read_text() == "years"


def test_the_page_of_the_reference_run_is_current():
    def without_pixels(text: str) -> str:
        # How a picture is packed may differ between machines; the hash of its file stands beside.
        return re.sub(r'src="data:[^"]+"', "", text)

    committed = made.REFERENCE_PAGE.read_text(encoding="utf-8")
    assert without_pixels(committed) == without_pixels(made.reference()), "make reference-page"
    assert len(committed) < 2 * 2**20


def test_every_figure_has_a_caption_and_every_finding_a_figure():
    figures = [figure for spec in notebooks().values() for figure in spec["figures"]]
    assert sorted(path.stem for path in CAPTIONS.glob("*.rst")) == sorted(figures)
    for name in figures:
        found = caption(name)
        assert found["title"].endswith(".") and found["text"].endswith("."), name
        # Signs that reStructuredText or Jinja would read as more than themselves.
        assert not set("*`|{}_") & set(found["title"] + found["text"]), name
    shown = [spec.get("findings", {}) for spec in notebooks().values()]
    shown = {name for findings in shown for name, figures in findings.items() if figures}
    paper = {entry["id"] for entry in BOOK if entry["by"] == "paper"}
    assert paper <= shown <= {entry["id"] for entry in BOOK}


NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture(scope="module")
def notebook(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("notebook") / "02_windows.ipynb"
    write_notebook(path)
    return rendered(path, environment(), style())


def test_formulas_and_outputs_are_drawn_by_the_browser_and_nothing_is_loaded(notebook):
    assert "<msub><mi>W</mi><mi>t</mi></msub>" in notebook and "<mfrac>" in notebook
    assert "$" not in re.sub(r"<style>.*?</style>", "", notebook, flags=re.DOTALL)
    assert mathml(r"\big(x\big)") == mathml("(x)")
    assert "<msup><mrow></mrow><mi>a</mi></msup>" in mathml("^a")
    assert HOSTILE not in notebook and "&lt;script&gt;" in notebook
    assert "<script" not in notebook and "model_id" not in notebook
    assert "a slider" in notebook
    assert "<title>Windows &amp; entropy</title>" in notebook
    assert re.findall(r'(?:src|href)="(?!#|\.\./index\.html)[^"]*"', notebook) == []
    assert "@import" not in notebook and "url(" not in notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_a_notebook_can_be_drawn(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert all(markdown(text) for text in texts)


def test_an_unknown_formula_is_named_and_what_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "n.ipynb"
    write_notebook(path)
    path.write_text(path.read_text().replace("$W_t$", r"$\\nonsense$"))
    with pytest.raises(UserError, match=r"n\.ipynb: the formula \\nonsense can't be drawn"):
        rendered(path, environment(), style())
    path.write_text("no notebook")
    with pytest.raises(UserError, match="not a notebook"):
        rendered(path, environment(), style())
