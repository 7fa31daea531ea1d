"""The findings page: one file with style and figures inside, no script, nothing from a network.

All text goes through Jinja's escaping, and the page's policy lets nothing load but its own style
sheet, named by its hash, and pictures that stand in the page itself.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ares.analysis.findings.rules import Rules
from ares.io import read_json, read_table
from ares.report import figures, words
from ares.report.findings import Card, cards, mostly_without_interval, score
from ares.report.run_facts import facts, times
from ares.report.strip import strip
from ares.versions import check_manifest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Source:
    """Where the page takes things from.

    Attributes:
        findings, manifest: findings.csv and manifest.json of the run.
        figures: folder of the figures.
        scale: how the scale is given to Snakemake: its name, or the path of its file.
    """

    findings: Path
    manifest: Path
    figures: Path
    scale: str


@dataclass(frozen=True)
class Links:
    """Addresses on the page, relative to it.

    Attributes:
        notebook, data, picture: with {name}, of a notebook, of the data behind a figure, of its
            bitmap.
        findings, manifest: of the tables.
        embed_all: whether figures that belong to no finding stand in the page too, or as links.
    """

    notebook: str
    data: str
    picture: str
    findings: str
    manifest: str
    embed_all: bool


def environment() -> Environment:
    """Templates of the pages; a name that is not there is an error, and everything is escaped."""
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style() -> str:
    """The style sheet of the page and of the notebooks beside it."""
    return (HERE / "page.css").read_text(encoding="utf-8")


def page(
    source: Source, links: Links, rules: Rules, notebooks: Mapping[str, Mapping[str, Any]]
) -> str:
    """The findings page of a run.

    Args:
        notebooks: workflow/notebooks.yaml.

    Raises:
        UserError: a file of the run is missing, of another version, or not what it should be.
    """
    manifest = read_json(source.manifest)
    check_manifest(manifest, source.manifest.parent)
    shown = cards(rules, read_table(source.findings), notebooks, str(source.findings))
    used = list(dict.fromkeys(figure for card in shown for figure in card.figures))
    others = {
        name: [figure for figure in spec["figures"] if figure not in used]
        for name, spec in notebooks.items()
    }
    embedded = [*used, *(f for fs in others.values() for f in fs if links.embed_all)]
    captioned = [*used, *(figure for group in others.values() for figure in group)]
    sheet = style()
    paper = [card for card in shown if card.finding.by == "paper"]
    aims = [card for card in shown if card.finding.by == "project"]
    return environment().get_template("page.html").render(
        style=Markup(sheet),
        style_hash=policy_hash(sheet),
        scale=manifest["config"]["scale"],
        cards=shown,
        scores=score(paper),
        paper=paper,
        aims=aims,
        weak=mostly_without_interval(shown),
        level=rules.level,
        minimum=rules.minimum,
        signs=words.SIGNS,
        classes=words.CLASSES,
        strip=strip,
        pictures={name: figures.picture(source.figures / f"{name}.png") for name in embedded},
        captions={name: figures.caption(name) for name in captioned},
        maker={name: figures.notebook_of(name, notebooks) for name in captioned},
        home=homes(shown),
        others={name: group for name, group in others.items() if group},
        links=links,
        facts=facts(manifest),
        times=times(manifest["job_seconds"]),
        command=Commands(source.scale, manifest["config"]["scale"]),
    )  # fmt: skip


@dataclass(frozen=True)
class Commands:
    """Command lines that make something again; the target comes before the config, which would
    swallow it."""

    given: str
    scale: str

    def of(self, target: str) -> str:
        """The command that makes a target of the workflow."""
        return f"snakemake --cores all {target} --config scale={self.given}"

    def findings(self) -> str:
        return self.of(f"results/{self.scale}/findings.csv")

    def notebook(self, name: str) -> str:
        return self.of(f"results/{self.scale}/notebooks/{name}.ipynb")


def homes(shown: Sequence[Card]) -> dict[str, str]:
    """Figure -> the finding under which it stands, the first of those that it shows."""
    found: dict[str, str] = {}
    for card in shown:
        for figure in card.figures:
            found.setdefault(figure, card.finding.id)
    return found


def policy_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
