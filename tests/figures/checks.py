"""What a figure of the house must keep, looked up in the figure itself."""

from __future__ import annotations

import re
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from ares.plotting import COLUMN, PAGE

#: Points; smaller letters can't be read in print.
SMALLEST = 6.0
#: What a quantity's label ends with.
UNIT = re.compile(r"\([^()]+\)$|\(1 / [^()]+\)$")
#: Words of which a note has one: what the spread shown is, or that there is none.
INTERVAL = re.compile(r"interval|range|spread|nothing is measured")


def complaints(fig: Figure) -> list[str]:
    """Everything that is wrong with a figure, as sentences."""
    fig.draw_without_rendering()
    return [
        *_width(fig),
        *_note(fig),
        *(line for ax in fig.axes for line in _labels(ax)),
        *_fonts(fig),
        *_places(fig),
    ]


def texts(fig: Figure) -> list[Text]:
    """All texts that are seen."""
    hidden = _not_drawn(fig)
    found = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [text for text in found if text not in hidden]


def _width(fig: Figure) -> list[str]:
    width = fig.get_figwidth()
    return [] if width in (COLUMN, PAGE) else [f"{width} inches wide, not {COLUMN} or {PAGE}"]


def _note(fig: Figure) -> list[str]:
    below = fig.get_supxlabel()
    if not INTERVAL.search(below):
        return [f"the note does not say what the interval is: {below!r}"]
    counted = re.search(r"\d|no n\b", below)
    return [] if counted else [f"the note does not say n: {below!r}"]


def _labels(ax: Axes) -> list[str]:
    """Axes with numbers on them need a label with a unit; names of things need none."""
    found = []
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        label = axis.get_label_text() or _shared(ax, name)
        if ax.axison and axis.get_visible() and _numbers(axis) and not UNIT.search(label):
            found.append(f"{name} axis of {ax.get_title()!r} has no unit: {label!r}")
    return found


def _numbers(axis: Axis) -> bool:
    """Whether there are tick labels, and all of them are numbers (powers are set as formulas)."""
    shown = [tick.label1 for tick in axis.get_major_ticks() if tick.label1.get_visible()]
    words = [text.get_text().replace("\N{MINUS SIGN}", "-") for text in shown if text.get_text()]
    return bool(words) and all(re.fullmatch(r"\$.*\$|-?[\d.,]+", word) for word in words)


def _shared(ax: Axes, name: str) -> str:
    """The label of the whole figure, or that of the leftmost or lowest axes in line with these."""
    fig = ax.figure
    if name == "y" and fig.get_supylabel():
        return fig.get_supylabel()
    box = ax.get_position()
    for other in fig.axes:
        place = other.get_position()
        same = abs(place.y0 - box.y0) < 0.01 if name == "y" else abs(place.x0 - box.x0) < 0.01
        label = other.get_ylabel() if name == "y" else other.get_xlabel()
        if same and label:
            return label
    return ""


def _fonts(fig: Figure) -> list[str]:
    small = {t.get_text() for t in texts(fig) if t.get_fontsize() < SMALLEST}
    return [f"smaller than {SMALLEST} points: {text!r}" for text in sorted(small)]


def _places(fig: Figure) -> list[str]:
    """Texts that leave the figure, and pairs of texts that lie on each other."""
    renderer = fig.canvas.get_renderer()
    whole = fig.bbox
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts(fig)]
    slack = 0.02 * fig.dpi
    outside = [
        f"outside the figure: {text!r}"
        for text, box in boxes
        if box.x0 < whole.x0 - slack
        or box.y0 < whole.y0 - slack
        or box.x1 > whole.x1 + slack
        or box.y1 > whole.y1 + slack
    ]
    on_each_other = [
        f"on each other: {a!r} and {b!r}"
        for (a, one), (b, other) in combinations(boxes, 2)
        if _overlap(one, other) > 0.15
    ]
    return outside + on_each_other


def _not_drawn(fig: Figure) -> set[Text]:
    """Tick labels that exist and are seen nowhere: beyond an axis's limits, or it is turned off."""
    hidden = set()
    for ax, axis in ((axis.axes, axis) for own in fig.axes for axis in (own.xaxis, own.yaxis)):
        off = not (ax.get_visible() and ax.axison and axis.get_visible())
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if off or not low <= tick.get_loc() <= high:
                hidden |= {tick.label1, tick.label2}
    return hidden


def _overlap(one, other) -> float:
    """Share of the smaller box that lies on the other."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min(one.width * one.height, other.width * other.height)
