"""The findings page: all of the rule book, the numbers of the table, links that work."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from snakemake.cli import get_argument_parser

from ares import paths
from ares.cli import main
from ares.findings import page as made
from ares.io import read_json, write_json
from tests.findings.conftest import HOSTILE, made_up_run, notebooks

BOOK = yaml.safe_load((paths.CONFIG / "findings.yaml").read_text(encoding="utf-8"))["findings"]
#: What the numbers of the reference run read like, by hand.
READS = {
    "F1.causal-gain": ("−0.218", "[−0.275, −0.160]", "contradicted"),
    "F5.range": ("59.1", "[54.4, 63.8]", "reproduced"),
    "F8.accuracy-kl": ("0.0010", "[−0.0024, 0.0048]", "not at this scale"),
    "F11.ares": ("0.0038", "[0.0005, 0.0096]", "partly"),
    "A1.easy-length": ("2.6", "[0.2, 4.7]", "missed"),
}


class Reader(HTMLParser):
    """Addresses, ids and tags of a page, and the text of every element that has an id."""

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


def row_of(text: str, name: str) -> str:
    """The text of a part's row."""
    row = re.search(rf'<tr id="{re.escape(name)}".*?</tr>', text, re.DOTALL)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", row).split())


def test_every_finding_and_every_part_is_on_the_page(text, read):
    for finding in BOOK:
        assert finding["id"] in read.ids
        for part in finding["parts"]:
            assert part["id"] in read.cells
            assert part["unit"] in row_of(text, part["id"])
    assert len(read.cells) == sum(len(finding["parts"]) for finding in BOOK)


def test_the_numbers_are_those_of_the_table(read):
    with open(paths.REFERENCE / "findings.csv", encoding="utf-8", newline="") as handle:
        rows = {row["id"]: row for row in csv.DictReader(handle)}
    for name, cell in read.cells.items():
        shown = [float(cell[f"data-{key}"]) for key in ("ours", "low", "high")]
        assert shown == [float(rows[name][key]) for key in ("ours", "ci_low", "ci_high")], name


@pytest.mark.parametrize("name", READS)
def test_numbers_intervals_and_verdicts_as_they_read(text, name):
    row = row_of(text, name)
    for expected in READS[name]:
        assert expected in row


def test_the_rule_of_a_part_names_its_side_bound_and_minimum(text):
    assert "whole 95% interval above 0, number at least 0.02 above it" in row_of(
        text, "F1.causal-gain"
    )
    assert "whole interval between −0.2 and 0.2" in row_of(text, "F10.linear")
    assert "whole 95% interval below 0" in row_of(text, "F7.slope")


def test_the_papers_number_and_the_seeds_stand_beside_ours(text):
    row = row_of(text, "F9.hard-length")
    assert " 3,667.85 " in row and "3 seeds, and problems" in row
    assert "one model, over problems" in row_of(text, "F5.medium")


def test_the_score_counts_the_findings_of_the_paper(text):
    scores = re.search(r'<ul class="scores".*?</ul>', text, re.DOTALL)[0]
    shown = " ".join(re.sub(r"<[^>]+>", " ", scores).split())
    assert shown == "3 ✓ reproduced 5 ◐ partly 2 ✗ contradicted 1 ○ not at this scale"


def test_links_lead_somewhere_inside_the_folder(page, read):
    assert len(set(read.links)) > 60
    for link in read.links:
        parts = urlsplit(link)
        assert not parts.scheme and not parts.netloc, link
        if not parts.path:
            assert parts.fragment in read.ids, link
        else:
            target = (page.parent / unquote(parts.path)).resolve()
            assert target.is_file() and target.is_relative_to(page.parent), link


def test_nothing_is_loaded_and_nothing_runs(text, read):
    assert len(read.loads) == sum(len(spec["figures"]) for spec in notebooks().values())
    assert all(address.startswith("data:image/png;base64,") for address in read.loads)
    assert read.tags["script"] == read.tags["link"] == read.tags["iframe"] == 0
    assert "default-src 'none'" in text and "http-equiv" in text


def test_ids_are_unique_and_pictures_have_words(text, read):
    assert [name for name, count in Counter(read.ids).items() if count > 1] == []
    assert len(re.findall(r'<img [^>]*alt="[^"]{10,}"', text)) == read.tags["img"]
    assert '<html lang="en">' in text and 'name="viewport"' in text


def test_hostile_text_is_text(text):
    assert HOSTILE not in text and "<script" not in text
    assert "&lt;script&gt;window.hit=1&lt;/script&gt;" in text


def test_the_commands_are_understood_by_snakemake(text):
    lines = set(re.findall(r"<code>(snakemake [^<]+)</code>", text))
    assert len(lines) == 1 + len(notebooks())
    for line in lines:
        told = get_argument_parser().parse_args(line.split()[1:])
        assert len(told.targets) == 1 and told.targets[0].startswith("results/smoke/")
        assert told.config == ["scale=smoke"] and told.cores >= 1


def test_a_run_without_intervals_says_that_it_proves_nothing(tmp_path):
    made_up_run(tmp_path)
    table = tmp_path / "results/smoke/findings.csv"
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    for row in rows[1:]:
        row[3] = "nan" if row[0].startswith("F3.") else row[3]
        row[4:6], row[7], row[8] = ["nan", "nan"], "1", "not at this scale"
    with open(table, "w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(rows)
    source = made.Source(table.parent, tmp_path / "figures/smoke", "smoke")
    text = made.page(source, made.OF_REFERENCE, notebooks())
    assert "Most numbers of this run have no interval" in text
    assert "no interval: 1 of at least 2 seeds" in row_of(text, "F8.accuracy-kl")
    assert "no number" in row_of(text, "F3.hwe")
    assert "no interval: too few problems" in row_of(text, "F5.medium")


def built(place: Path, monkeypatch, *options: str, status: int = 0) -> Path:
    """Make the page of a run, or fail to."""
    monkeypatch.setattr(paths, "RESULTS", place / "results")
    monkeypatch.setattr(paths, "FIGURES", place / "figures")
    assert main(["report", "smoke", *options]) == status
    return place / "results/smoke/report/index.html"


BROKEN = {
    "results/smoke/manifest.json": "scale 'smoke' has not been run to its end",
    "results/smoke/findings.csv": "findings.csv: no such file",
    "figures/smoke/radar.png": "radar.png: no such file",
    "figures/smoke/radar.csv": "radar.csv: no such file",
    "results/smoke/notebooks/02_windows.ipynb": "02_windows.ipynb: no such file",
}


@pytest.mark.parametrize("file", BROKEN)
def test_a_missing_file_is_one_line_and_leaves_the_page_of_before(
    place, tmp_path, monkeypatch, capsys, file
):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).unlink()
    page = built(tmp_path, monkeypatch, status=2)
    assert BROKEN[file] in capsys.readouterr().err
    assert page.is_file()


def test_a_table_of_another_rule_book_is_one_line(tmp_path, monkeypatch, capsys):
    made_up_run(tmp_path)
    table = tmp_path / "results/smoke/findings.csv"
    kept = [line for line in table.read_text().splitlines(True) if not line.startswith("F3.hwe,")]
    table.write_text("".join(kept))
    built(tmp_path, monkeypatch, status=2)
    assert "no row F3.hwe, which config/findings.yaml has" in capsys.readouterr().err


def test_a_run_of_another_version_is_one_line(tmp_path, monkeypatch, capsys):
    made_up_run(tmp_path)
    manifest = tmp_path / "results/smoke/manifest.json"
    write_json(manifest, read_json(manifest) | {"schema": 999})
    built(tmp_path, monkeypatch, status=2)
    assert "of schema version 999" in capsys.readouterr().err


def test_a_folder_with_other_things_is_not_replaced(place, tmp_path, monkeypatch, capsys):
    kept = tmp_path / "mine" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("years")
    built(place, monkeypatch, "--out", str(kept.parent), status=2)
    assert "has other files" in capsys.readouterr().err
    assert kept.read_text() == "years"


def test_the_page_of_the_reference_run_is_current():
    def without_pixels(text: str) -> str:
        # How a picture is packed may differ between machines; the hash of its file stands beside.
        return re.sub(r'src="data:[^"]+"', "", text)

    committed = made.REFERENCE_PAGE.read_text(encoding="utf-8")
    assert without_pixels(committed) == without_pixels(made.reference()), "make reference-page"
    assert len(committed) < 2 * 2**20


def test_the_links_of_the_reference_page_lead_somewhere():
    read = Reader(made.REFERENCE_PAGE.read_text(encoding="utf-8"))
    for link in read.links:
        place = urlsplit(link)
        if place.path:
            assert (made.REFERENCE_PAGE.parent / place.path).is_file(), link
        else:
            assert place.fragment in read.ids, link
