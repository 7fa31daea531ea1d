"""The findings page: one file with style and figures inside, no script, nothing from a network.

The numbers are read, not computed: what stands on the page is what stands in findings.csv. All text
goes through Jinja's escaping, and the page's policy lets nothing load but its own style sheet,
named by its hash, and pictures that stand in the page itself.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from ares import paths
from ares.errors import UserError
from ares.findings.notebooks import rendered
from ares.findings.rules import (
    CONTRADICTED,
    EQUIVALENT,
    PARTLY,
    REPRODUCED,
    UNDECIDED,
    load_rules,
)
from ares.findings.verdicts import JudgedPart, recorded
from ares.io import KEY, check, read_json, whole_folder, write_text
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
#: Sign and class of a verdict, and its word where it is about an aim of the project.
SIGNS = {REPRODUCED: "✓", PARTLY: "◐", CONTRADICTED: "✗", EQUIVALENT: "≈", UNDECIDED: "○"}
CLASSES = dict(zip(SIGNS, ("good", "half", "bad", "open", "open"), strict=True))
AIM_WORDS = {REPRODUCED: "met", PARTLY: "partly met", CONTRADICTED: "missed", EQUIVALENT: "missed"}
#: Colours that an embedded picture keeps: enough for lines and bands, a third of the bytes.
COLOURS = 128
#: Names of jobs end with a shard, a model or a notebook.
KIND = re.compile(r"[a-z]+(-(?=rates|records)[a-z]+)?")


def write_run(scale: str, given: str, out: Path) -> Path:
    """Write index.html, notebooks/ and data/ of a finished run into a folder, whole or not at all.

    Args:
        given: how the scale is given to Snakemake: its name, or the path of its file.
        out: a folder of an earlier page is replaced, any other one is refused.

    Raises:
        UserError: a file of the run is missing or damaged, or `out` holds something else.

    Returns the page.
    """
    other = any(out.iterdir()) if out.is_dir() else out.exists()
    if other and not (out / "index.html").is_file():
        raise UserError(f"{out}: has other files; name a folder that is empty or new")
    tables, figures, listed = paths.RESULTS / scale, paths.FIGURES / scale, read_yaml(NOTEBOOKS)
    data = [tables / "findings.csv", tables / "manifest.json"]
    data += [figures / f"{name}.csv" for spec in listed.values() for name in spec["figures"]]
    notebooks = [tables / "notebooks" / f"{name}.ipynb" for name in listed]
    _check_there([*data, *notebooks])
    with whole_folder(out, replace=True) as made:
        write_text(made / "index.html", page(tables, figures, given, OF_RUN))
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
    return page(paths.REFERENCE, paths.FIGURES / "reference", "laptop", OF_REFERENCE)


def page(tables: Path, figures: Path, given: str, links: Mapping[str, str]) -> str:
    """The findings page of a run.

    Args:
        tables: folder of findings.csv and manifest.json.
        figures: folder of the pictures.
        given: see `write_run`.
        links: `OF_RUN` or `OF_REFERENCE`.

    Raises:
        UserError: a file of the run is missing, of another version, or not what it should be.
    """
    manifest = read_json(tables / "manifest.json")
    rules, notebooks = load_rules(), read_yaml(NOTEBOOKS)
    check(manifest.get(KEY), tables)
    judged = recorded(tables / "findings.csv", rules)
    deciding = [part for finding in judged for part in finding.deciding]
    about = {
        finding.finding.id: {
            name: spec["findings"][finding.finding.id]
            for name, spec in notebooks.items()
            if finding.finding.id in spec.get("findings", {})
        }
        for finding in judged
    }
    # A figure stands under the first of the findings that it shows.
    home: dict[str, str] = {}
    for finding, shown in about.items():
        home = dict.fromkeys(chain(*shown.values()), finding) | home
    maker = {figure: name for name, spec in notebooks.items() for figure in spec["figures"]}
    embedded = home if links["picture"] else maker
    _check_there([figures / f"{name}.png" for name in embedded])
    sheet = style()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return environment().get_template("page.html").render(
        style=Markup(sheet),
        style_hash=f"sha256-{digest}",  # as a Content-Security-Policy names an inline sheet
        manifest=manifest,
        config=manifest["config"],  # as it was recorded: another version may have written it
        given=given,
        judged=judged,
        about=about,
        weak=2 * sum(bool(part.measured.missing) for part in deciding) > len(deciding),
        rules=rules,
        pictures={name: picture(figures / f"{name}.png") for name in embedded},
        captions={name: caption(name) for name in maker},
        notebooks=notebooks,
        maker=maker,
        home=home,
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
    made.filters |= {"number": number, "signed": signed, "duration": duration, "places": places}
    made.globals |= {"signs": SIGNS, "classes": CLASSES, "word": word}
    return made


def style() -> str:
    """The style sheet of the page and of the notebooks beside it."""
    return (HERE / "page.css").read_text(encoding="utf-8")


def word(verdict: str, by: str) -> str:
    """A verdict in words: the project's aims are met or missed, the paper's findings reproduced."""
    return AIM_WORDS.get(verdict, verdict) if by == "project" else verdict


def number(value: float, width: float) -> str:
    """A number with as many decimals as the width of its interval is worth, about two digits of it.

    >>> number(-0.218397, 0.115), number(59.13, 9.4), number(0.001, math.nan)
    ('−0.218', '59.1', '0.001')
    """
    if not math.isfinite(width) or width <= 0:
        return signed(value, ",.3g" if abs(value) < 1000 else ",.0f")
    return signed(value, f",.{max(0, math.ceil(1 - math.log10(width / 3)))}f")


def signed(value: float, form: str = ",.6g") -> str:
    """A number in a format, with a real minus sign.

    >>> signed(-3.5), signed(-0.0)
    ('−3.5', '0')
    """
    return f"{value:z{form}}".replace("-", "\N{MINUS SIGN}")


def places(judged: JudgedPart, width: float) -> dict[str, list[float]]:
    """Where a drawing so wide has the number, the interval's ends and the rule's bounds."""
    part, found = judged.part, judged.measured.found
    shown = {
        "number": [found.value],
        "interval": [] if judged.measured.missing else [found.low, found.high],
        "bounds": [-part.bound, part.bound] if part.direction == "within" else [part.bound],
    }
    known = [value for values in shown.values() for value in values]
    least, span = min(known), (max(known) - min(known)) or 1.0
    return {
        name: [(value - least) / span * width for value in values] for name, values in shown.items()
    }


def caption(name: str) -> dict[str, str]:
    """The caption of a figure: its title, and after an empty line its text."""
    title, text = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").split("\n\n")
    return {"title": " ".join(title.split()), "text": " ".join(text.split())}


def picture(path: Path) -> dict[str, Any]:
    """A figure with `COLOURS` colours as a data address, its size in pixels, its file's hash.

    Raises:
        UserError: it is no picture.
    """
    content = path.read_bytes()
    try:
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
