"""Captions: one for every figure, in a form that the page and Snakemake's report both take."""

from __future__ import annotations

import pytest

from ares.errors import UserError
from ares.findings.page import CAPTIONS, caption
from tests.findings.conftest import BOOK, notebooks

FIGURES = [figure for spec in notebooks().values() for figure in spec["figures"]]


def test_every_figure_has_a_caption_of_a_title_and_sentences():
    assert sorted(path.stem for path in CAPTIONS.glob("*.rst")) == sorted(FIGURES)
    for name in FIGURES:
        found = caption(name)
        assert found["title"].endswith(".") and found["text"].endswith("."), name
        # Signs that reStructuredText or Jinja would read as more than themselves.
        assert not set("*`|{}_") & set(found["title"] + found["text"]), name
        assert len(found["title"]) < 90 and 40 < len(found["text"]) < 500, name


def test_a_caption_of_another_form_is_refused(tmp_path):
    (tmp_path / "a.rst").write_text("Only a title.\n")
    with pytest.raises(UserError, match="a title, an empty line and one paragraph"):
        caption("a", tmp_path)
    with pytest.raises(UserError, match="no caption of the figure b"):
        caption("b", tmp_path)


def test_every_finding_is_shown_by_figures_of_the_notebook_that_is_about_it():
    shown: dict[str, list[str]] = {}
    for spec in notebooks().values():
        for finding, figures in spec.get("findings", {}).items():
            assert set(figures) <= set(spec["figures"])
            shown.setdefault(finding, []).extend(figures)
    paper = {entry["id"] for entry in BOOK if entry["by"] == "paper"}
    assert paper <= shown.keys() <= {entry["id"] for entry in BOOK}
    assert all(shown.values())
