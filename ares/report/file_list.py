"""docs/files.md: every file of the package, the workflow and the notebooks, with a line of its own.

`python -m ares.report.file_list > docs/files.md` makes it from the files' first lines.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from ares.paths import ROOT

HEAD = """\
# Every file, in a line

Made by `python -m ares.report.file_list > docs/files.md`; a test holds it to the files. A layer
calls what stands above it in this list and nothing below (another test): functions first, trainers
after them, the commands of `ares/workflow` at the end.
"""
#: From what calls nothing to what calls everything.
LAYERS = (
    *("", "method", "world", "estimate", "model", "sampling", "base", "training", "backends"),
    *("answers", "coldstart", "benchmarks", "paperscale", "analysis", "figures", "traces"),
    *("report", "workflow"),
)


def render(root: Path = ROOT) -> str:
    """The page.

    Raises:
        ValueError: a folder of the package that is not in LAYERS, a file without a first line.
    """
    package = root / "ares"
    found = {path.parent.name for path in package.glob("*/__init__.py")}
    if strange := sorted(found ^ set(LAYERS[1:])):
        raise ValueError(f"{strange[0]}: in LAYERS or in {package}, but not in both")
    parts = [HEAD]
    for layer in LAYERS:
        folder = package / layer
        parts.append(_section(root, folder, sorted(folder.glob("*.py")), layer))
        for below in sorted(folder.glob("*/__init__.py")) if layer else ():
            inner = below.parent
            parts.append(_section(root, inner, sorted(inner.glob("*.py")), inner.name))
    rules = sorted((root / "workflow/rules").glob("*.smk"))
    parts.append(_section(root, root / "workflow", [root / "Snakefile", *rules], "workflow"))
    parts.append(_section(root, root / "notebooks", sorted((root / "notebooks").glob("*.ipynb"))))
    parts.append(_section(root, root / "config", sorted((root / "config").glob("*.yaml"))))
    return "\n".join(parts)


def _section(root: Path, folder: Path, files: list[Path], layer: str = "") -> str:
    about = ""
    if layer and (folder / "__init__.py").is_file():
        about = f"{_first_line(folder / '__init__.py')}\n\n"
    rows = [
        f"| `{path.relative_to(root)}` | {_first_line(path)} |"
        for path in files
        if path.name != "__init__.py"
    ]
    title = f"## {folder.relative_to(root)}/\n\n{about}"
    return title + "\n".join(["| file | what it is |", "|---|---|", *rows]) + "\n"


def _first_line(path: Path) -> str:
    """The first paragraph of what a file says of itself, whatever kind it is."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    elif path.suffix == ".ipynb":
        said = "".join(json.loads(text)["cells"][0]["source"]).lstrip("# ")
    elif path.suffix == ".yaml":
        comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
        said = " ".join(line for line in comments if "yaml-language-server" not in line)
    else:
        said = (re.match(r'"""(.*?)"""', text, re.DOTALL) or [text, ""])[1]
    line = said.strip().split("\n\n")[0].replace("\n", " ")
    if path.suffix == ".yaml":  # a comment goes on and on
        line = re.split(r"(?<=\.) (?=[A-Z])", line)[0]
    if not line:
        raise ValueError(f"{path}: no first line that says what it is")
    return line.replace("|", r"\|")


if __name__ == "__main__":
    print(render(), end="")
