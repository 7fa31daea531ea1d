"""What is written to the disk: the page of a run with its notebooks and data, or one page alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ares import paths
from ares.analysis.findings.rules import load_rules
from ares.errors import UserError
from ares.io import whole_folder, write_text
from ares.report.notebooks import rendered
from ares.report.page import Links, Source, environment, page, style
from ares.settings import read_yaml

NOTEBOOKS = paths.ROOT / "workflow" / "notebooks.yaml"
REFERENCE_PAGE = paths.ROOT / "docs" / "findings.html"
#: Everything the page of a run links to lies in its own folder, so the folder can be moved.
OF_RUN = Links(
    notebook="notebooks/{name}.html",
    data="data/{name}.csv",
    picture="",
    findings="data/findings.csv",
    manifest="data/manifest.json",
    embed_all=True,
)
#: The page of the reference run links to what the repository holds.
OF_REFERENCE = Links(
    notebook="../notebooks/{name}.ipynb",
    data="../figures/reference/{name}.csv",
    picture="../figures/reference/{name}.png",
    findings="../data/reference/findings.csv",
    manifest="../data/reference/manifest.json",
    embed_all=False,
)


def write_run(scale: str, given: str, out: Path) -> Path:
    """Write index.html, notebooks/ and data/ of a finished run into a folder, whole or not at all.

    Args:
        given: how the scale is given to Snakemake.
        out: a folder of an earlier page is replaced, any other one is refused.

    Raises:
        UserError: a file of the run is missing or damaged, or `out` holds something else.

    Returns the page.
    """
    refuse_other(out)
    results, listed = paths.RESULTS / scale, read_yaml(NOTEBOOKS)
    figures = paths.FIGURES / scale
    source = Source(results / "findings.csv", results / "manifest.json", figures, given)
    notebooks = [results / "notebooks" / f"{name}.ipynb" for name in listed]
    data = [source.findings, source.manifest, *figure_files(listed, figures, "csv")]
    check_there([*data, *figure_files(listed, figures, "png"), *notebooks])
    with whole_folder(out, replace=True) as made:
        write_text(made / "index.html", page(source, OF_RUN, load_rules(), listed))
        for path in notebooks:
            html = rendered(path, environment(), style())
            write_text(made / "notebooks" / f"{path.stem}.html", html)
        (made / "data").mkdir()
        for path in data:
            shutil.copyfile(path, made / "data" / path.name)
    return out / "index.html"


def write_reference(out: Path = REFERENCE_PAGE) -> Path:
    """Write the page of the reference run; returns it.

    Raises:
        UserError: a file of the reference run is missing or damaged.
    """
    write_text(out, reference())
    return out


def reference() -> str:
    """The page of the reference run."""
    figures, listed = paths.FIGURES / "reference", read_yaml(NOTEBOOKS)
    findings, manifest = paths.REFERENCE / "findings.csv", paths.REFERENCE / "manifest.json"
    check_there([findings, manifest, *figure_files(listed, figures, "png")])
    source = Source(findings, manifest, figures, "laptop")
    return page(source, OF_REFERENCE, load_rules(), listed)


def figure_files(listed: Mapping[str, Any], folder: Path, ending: str) -> list[Path]:
    """A file of every figure."""
    return [folder / f"{name}.{ending}" for spec in listed.values() for name in spec["figures"]]


def check_there(files: Sequence[Path]) -> None:
    """Refuse to begin where a file of the run is missing.

    Raises:
        UserError: names the first one.
    """
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file; run the workflow that makes it")


def refuse_other(out: Path) -> None:
    """Refuse a folder that holds something else than an earlier page.

    Raises:
        UserError: names it.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / "index.html").is_file():
        raise UserError(f"{out}: has other files; name a folder that is empty or new")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is no folder; name a folder that is empty or new")
