"""A run to make a page of: the reference run's findings, with small figures and notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from ares import paths
from ares.cli import main
from ares.io import read_json, write_json, write_text

#: Text that would run, or break the page, if it got in as it is.
HOSTILE = '"><script>window.hit=1</script><img src=x onerror="window.hit=2"></style>'
WIDGET = "application/vnd.jupyter.widget-view+json"


def notebooks() -> dict:
    return yaml.safe_load((paths.ROOT / "workflow/notebooks.yaml").read_text(encoding="utf-8"))


def made_up_run(folder: Path, scale: str = "smoke") -> None:
    """Write results and figures of a finished run; its manifest and notebooks hold `HOSTILE`."""
    results, figures = folder / "results" / scale, folder / "figures" / scale
    results.mkdir(parents=True)
    shutil.copy(paths.REFERENCE / "findings.csv", results)
    manifest = read_json(paths.REFERENCE / "manifest.json")
    manifest["config"]["scale"] = scale
    manifest["packages"][HOSTILE] = "1.0"
    manifest["job_seconds"]["train-" + HOSTILE] = 90.0
    write_json(results / "manifest.json", manifest)
    figures.mkdir(parents=True)
    for name, spec in notebooks().items():
        for figure in spec["figures"]:
            Image.new("RGB", (700, 300), "white").save(figures / f"{figure}.png")
            write_text(figures / f"{figure}.csv", "x\n1\n")
        write_notebook(results / "notebooks" / f"{name}.ipynb")


def write_notebook(path: Path) -> None:
    """Write an executed notebook with a formula, a wide table of text and a hostile output."""
    said = new_output("stream", text=HOSTILE + "\n" + "wide " * 80)
    widget = new_output(
        "display_data",
        data={WIDGET: {"model_id": "a"}, "text/plain": "a slider"},
    )
    cells = [
        new_markdown_cell("# Windows & entropy\n\nThe window entropy $W_t$ is"),
        new_markdown_cell("$$W_t=\\frac{1}{w}\\sum_{k=0}^{w-1} H_{t+k}$$"),
        new_code_cell("print(1 < 2)", outputs=[said, widget], execution_count=1),
    ]
    write_text(path, nbformat.writes(new_notebook(cells=cells)))


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """Folder of the run and of its page, made by the command."""
    folder = tmp_path_factory.mktemp("report")
    made_up_run(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RESULTS", folder / "results")
        patch.setattr(paths, "FIGURES", folder / "figures")
        assert main(["report", "smoke"]) == 0
    return folder


@pytest.fixture(scope="session")
def page(place) -> Path:
    return place / "results/smoke/report/index.html"
