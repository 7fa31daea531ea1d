"""Sliders and menus under a figure, where somebody is there to move them.

Widgets work in a notebook that a person has opened. Stored in a file they are dead, and their
random names differ in every run; so a notebook that a machine executes makes none and prints a
sentence instead, and the static figure beside the cell stands for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import matplotlib.pyplot as plt
from IPython.core.getipython import get_ipython
from IPython.display import display
from ipywidgets import interactive
from matplotlib.figure import Figure

NOBODY = (
    "Nobody is here to move controls: open the notebook in JupyterLab and run this cell.\n"
    "The figure above shows a few of their settings."
)


def attended() -> bool:
    """Whether a person runs the notebook, by what Jupyter's messages say of the one who asks.

    Front ends say that their user can be asked for input (`allow_stdin`); nbconvert, papermill and
    nbval say that there is nobody to ask.
    """
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return False
    return shell.kernel.get_parent().get("content", {}).get("allow_stdin", False)


def show(draw: Callable[..., Figure], **settings: Any) -> None:
    """Show controls above the figure that `draw` makes of their values, or why there are none.

    Args:
        draw: takes the values by name; its defaults are what the controls start from.
        settings: what a control offers: (lowest, highest) or (lowest, highest, step) makes a
            slider, a list of values or of (label, value) a menu.
    """
    if attended():
        display(with_controls(draw, **settings))
    else:
        print(NOBODY)


def with_controls(draw: Callable[..., Figure], **settings: Any) -> interactive:
    """The controls, and below them the figure, drawn again whenever one is moved."""

    @wraps(draw)
    def shown(**values: Any) -> None:
        fig = draw(**values)
        display(fig)
        plt.close(fig)

    return interactive(shown, **settings)
