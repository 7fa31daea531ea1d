"""Captions: one for every figure, in a form that the page and Snakemake's report both take."""

from __future__ import annotations

import pytest
import yaml

from ares import paths
from ares.errors import UserError
from ares.findings.page import CAPTIONS, caption
from tests.findings.conftest import notebooks

FIGURES = [figure for spec in notebooks().values() for figure in spec["figures"]]
BOOK = yaml.safe_load((paths.CONFIG / "findings.yaml").read_text(encoding="utf-8"))["findings"]


def test_every_figure_has_a_caption_and_no_caption_is_left_over():
    assert sorted(path.stem for path in CAPTIONS.glob("*.rst")) == sorted(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_caption_is_a_title_and_sentences(name):
    found = caption(name)
    assert found["title"].endswith(".") and found["text"].endswith(".")
    # Signs that reStructuredText or Jinja would read as more than themselves.
    assert not set("*`|{}_") & set(found["title"] + found["text"])
    assert len(found["title"]) < 90 and 40 < len(found["text"]) < 500


def test_a_caption_of_another_form_is_refused(tmp_path):
    (tmp_path / "a.rst").write_text("Only a title.\n")
    with pytest.raises(UserError, match="a title, an empty line and one paragraph"):
        caption("a", tmp_path)
    with pytest.raises(UserError, match="no caption of the figure b"):
        caption("b", tmp_path)


def test_every_finding_has_a_notebook_and_its_figures_are_made():
    about = [spec.get("findings", {}) for spec in notebooks().values()]
    assert {finding for entry in about for finding in entry} == {entry["id"] for entry in BOOK}
    shown = {figure for entry in about for figures in entry.values() for figure in figures}
    assert shown <= set(FIGURES)
    for spec in notebooks().values():
        named = {figure for figures in spec.get("findings", {}).values() for figure in figures}
        assert named <= set(spec["figures"])


def test_every_finding_has_a_figure():
    for finding in BOOK:
        figures = [spec.get("findings", {}).get(finding["id"], []) for spec in notebooks().values()]
        assert any(figures), finding["id"]
