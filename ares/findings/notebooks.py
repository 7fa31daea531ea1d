"""Executed notebooks as HTML that needs nothing else: no script, no network.

nbconvert makes the body; formulas, for which its pages load MathJax from elsewhere, become MathML,
which browsers draw by themselves.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import nbformat
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from jinja2 import Environment
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from ares.errors import UserError

#: What of an output is shown, best first; nothing that a script would have to draw.
SHOWN = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain")


class _Renderer(IPythonRenderer):
    """Markdown as nbconvert reads it, with formulas in MathML."""

    def block_math(self, body: str) -> str:
        return mathml(body, block=True)

    def inline_math(self, body: str) -> str:
        return mathml(body)


def markdown(source: str) -> str:
    """Markdown of a cell as HTML."""
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    return MarkdownWithMath(renderer=renderer).render(source)


def mathml(formula: str, block: bool = False) -> str:
    r"""A formula of LaTeX in MathML.

    Raises:
        UserError: it has a command that is not known.

    >>> mathml(r"\theta")
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>θ</mi></math>'
    """
    # Brackets grow by themselves, and a script may stand without a base.
    tex = re.sub(r"\\[bB]igg?(?![a-zA-Z])", "", formula.strip())
    tex = re.sub(r"^(?=[_^])", "{}", tex)
    try:
        return re.sub(r"\n\s*", "", tex2mathml(tex, as_block=block))
    except MathError as error:
        raise UserError(f"the formula {formula} can't be drawn ({error})") from None


@cache
def exporter() -> HTMLExporter:
    """What makes the bodies; its templates are compiled once."""
    made = HTMLExporter(template_name="basic", filters={"markdown2html": markdown})
    made.config.NbConvertBase.display_data_priority = list(SHOWN)
    return made


def rendered(path: Path, environment: Environment, style: str) -> str:
    """The page of an executed notebook.

    Args:
        environment: has the template notebook.html.
        style: sheet of all pages.

    Raises:
        UserError: the file is no notebook, or holds a formula that can't be drawn.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        body, _ = exporter().from_notebook_node(notebook)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError):
        raise UserError(f"{path}: not a notebook; remove it and run the workflow again") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    title = texts[0].splitlines()[0].lstrip("# ") if texts else path.stem
    light, dark = (HtmlFormatter(style=name) for name in ("default", "github-dark"))
    colours = light.get_style_defs(".highlight")
    colours += f"\n@media (prefers-color-scheme:dark){{{dark.get_style_defs('.highlight')}}}"
    template = environment.get_template("notebook.html")
    return template.render(title=title, body=body, style=f"{style}\n{colours}\n")
