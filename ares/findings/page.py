"""The findings page: one file with style and figures inside, no script, nothing from a network.

All text goes through Jinja's escaping, and the page's policy lets nothing load but its own style
sheet, named by its hash, and pictures that stand in the page itself.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from ares import paths
from ares.errors import UserError
from ares.findings.cards import CLASSES, SIGNS, cards, mostly_without_interval, signed, word
from ares.findings.notebooks import rendered
from ares.findings.rules import load_rules
from ares.io import KEY, check, read_json, read_table, whole_folder, write_text
from ares.settings import read_yaml

HERE = Path(__file__).parent
#: Of every figure, as `snakemake --report` has them too.
CAPTIONS = paths.ROOT / "workflow" / "report"
NOTEBOOKS = paths.ROOT / "workflow" / "notebooks.yaml"
REFERENCE_PAGE = paths.ROOT / "docs" / "findings.html"
#: Addresses on the page of a run, whose folder can be moved as a whole. With no address for
#: pictures, figures that belong to no finding stand in the page too.
OF_RUN = {
    "notebook": "notebooks/{name}.html",
    "data": "data/{name}.csv",
    "picture": "",
    "findings": "data/findings.csv",
    "manifest": "data/manifest.json",
}
#: The page of the reference run links to what the repository holds.
OF_REFERENCE = {
    "notebook": "../notebooks/{name}.ipynb",
    "data": "../figures/reference/{name}.csv",
    "picture": "../figures/reference/{name}.png",
    "findings": "../data/reference/findings.csv",
    "manifest": "../data/reference/manifest.json",
}
#: Colours that an embedded picture keeps: enough for lines and bands, a third of the bytes.
COLOURS = 128
#: Names of jobs end with a shard, a model or a notebook.
KIND = re.compile(r"[a-z]+(-(?=rates|records)[a-z]+)?")


@dataclass(frozen=True)
class Source:
    """Where the page takes things from: folders of findings.csv and manifest.json, and of figures.

    given: how the scale is given to Snakemake: its name, or the path of its file.
    """

    tables: Path
    figures: Path
    given: str

    def files(self, notebooks: Mapping[str, Any], ending: str) -> list[Path]:
        """The findings, the manifest and, with this ending, every figure.

        Raises:
            UserError: one is missing.
        """
        listed = [figure for spec in notebooks.values() for figure in spec["figures"]]
        found = [self.tables / "findings.csv", self.tables / "manifest.json"]
        found += [self.figures / f"{figure}.{ending}" for figure in listed]
        _check_there(found)
        return found


def write_run(scale: str, given: str, out: Path) -> Path:
    """Write index.html, notebooks/ and data/ of a finished run into a folder, whole or not at all.

    Args:
        given: how the scale is given to Snakemake.
        out: a folder of an earlier page is replaced, any other one is refused.

    Raises:
        UserError: a file of the run is missing or damaged, or `out` holds something else.

    Returns the page.
    """
    other = any(out.iterdir()) if out.is_dir() else out.exists()
    if other and not (out / "index.html").is_file():
        raise UserError(f"{out}: has other files; name a folder that is empty or new")
    listed = read_yaml(NOTEBOOKS)
    source = Source(paths.RESULTS / scale, paths.FIGURES / scale, given)
    notebooks = [source.tables / "notebooks" / f"{name}.ipynb" for name in listed]
    data = source.files(listed, "csv")
    _check_there(notebooks)
    with whole_folder(out, replace=True) as made:
        write_text(made / "index.html", page(source, OF_RUN, listed))
        for path in notebooks:
            html = rendered(path, environment(), style())
            write_text(made / "notebooks" / f"{path.stem}.html", html)
        (made / "data").mkdir()
        for path in data:
            shutil.copyfile(path, made / "data" / path.name)
    return out / "index.html"


def reference() -> str:
    """The page of the reference run.

    Raises:
        UserError: a file of it is missing or damaged.
    """
    source = Source(paths.REFERENCE, paths.FIGURES / "reference", "laptop")
    return page(source, OF_REFERENCE, read_yaml(NOTEBOOKS))


def page(
    source: Source, links: Mapping[str, str], notebooks: Mapping[str, Mapping[str, Any]]
) -> str:
    """The findings page of a run.

    Args:
        links: `OF_RUN` or `OF_REFERENCE`.
        notebooks: workflow/notebooks.yaml.

    Raises:
        UserError: a file of the run is missing, of another version, or not what it should be.
    """
    rules, (table, recorded, *_) = load_rules(), source.files(notebooks, "png")
    manifest = read_json(recorded)
    check(manifest.get(KEY), source.tables)
    shown = cards(rules, read_table(table), notebooks, str(table))
    home: dict[str, str] = {}  # the first of the findings that a figure shows: it stands there
    for card in shown:
        for figure in card.figures:
            home.setdefault(figure, card.finding.id)
    maker = {figure: name for name, spec in notebooks.items() for figure in spec["figures"]}
    embedded = home if links["picture"] else maker
    sheet = style()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return environment().get_template("page.html").render(
        style=Markup(sheet),
        style_hash=f"sha256-{digest}",  # as a Content-Security-Policy names an inline sheet
        manifest=manifest,
        config=manifest["config"],  # as it was recorded: another version may have written it
        given=source.given,
        cards=shown,
        paper=[card for card in shown if card.finding.by == "paper"],
        aims=[card for card in shown if card.finding.by == "project"],
        weak=mostly_without_interval(shown),
        level=rules.level,
        minimum=rules.minimum,
        pictures={name: picture(source.figures / f"{name}.png") for name in embedded},
        captions={name: caption(name) for name in maker},
        maker=maker,
        home=home,
        others={
            name: others
            for name, spec in notebooks.items()
            if (others := [figure for figure in spec["figures"] if figure not in home])
        },
        links=links,
        kinds=by_kind(manifest["job_seconds"]),
    )  # fmt: skip


def _check_there(files: Sequence[Path]) -> None:
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file; run the workflow that makes it")


def environment() -> Environment:
    """Templates of the pages; a name that is not there is an error, and everything is escaped."""
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"signed": signed, "duration": duration}
    made.globals |= {"signs": SIGNS, "classes": CLASSES, "word": word}
    return made


def style() -> str:
    """The style sheet of the page and of the notebooks beside it."""
    return (HERE / "page.css").read_text(encoding="utf-8")


def caption(name: str, folder: Path = CAPTIONS) -> dict[str, str]:
    """The caption of a figure: its title, and after an empty line its text.

    Raises:
        UserError: the file is missing or has another form.
    """
    path = folder / f"{name}.rst"
    try:
        title, _, text = path.read_text(encoding="utf-8").partition("\n\n")
    except OSError as error:
        raise UserError(f"{path}: no caption of the figure {name} ({error.strerror})") from None
    if not title.strip() or not text.strip() or "\n\n" in text.strip():
        raise UserError(f"{path}: a caption is a title, an empty line and one paragraph")
    return {"title": " ".join(title.split()), "text": " ".join(text.split())}


def picture(path: Path) -> dict[str, Any]:
    """A figure with `COLOURS` colours as a data address, its size in pixels, its file's hash.

    Raises:
        UserError: it is no picture.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise UserError(f"{path}: not a readable picture ({error})") from None
    small = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return {
        "address": f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}",
        "width": image.width,
        "height": image.height,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def by_kind(job_seconds: Mapping[str, float]) -> list[tuple[str, list[float]]]:
    """Every kind of job, the dearest first, with the seconds of its jobs."""
    kinds: dict[str, list[float]] = {}
    for name, seconds in job_seconds.items():
        found = KIND.match(name)
        kinds.setdefault(found[0] if found else name, []).append(seconds)
    return sorted(kinds.items(), key=lambda entry: -sum(entry[1]))


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(41), duration(2710), duration(5280)
    ('41 s', '45 min', '1 h 28 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
