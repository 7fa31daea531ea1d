"""What a figure of the house must keep, looked up in the figure itself."""

import re
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

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
    width, note, boxes = fig.get_figwidth(), fig.get_supxlabel(), boxes_of(fig)
    page = fig.bbox.padded(0.02 * fig.dpi)
    found = [f"{width} inches wide, not {COLUMN} or {PAGE}"] * (width not in (COLUMN, PAGE))
    if not INTERVAL.search(note) or not re.search(r"\d|no n\b", note):
        found.append(f"the note does not say what the interval is, or not n: {note!r}")
    found += [line for ax in fig.axes for line in missing_units(ax)]
    for text, box in boxes.items():
        if text.get_fontsize() < SMALLEST:
            found.append(f"smaller than {SMALLEST} points: {text.get_text()!r}")
        if Bbox.union([page, box]).bounds != page.bounds:
            found.append(f"outside the figure: {text.get_text()!r}")
    for (one, box), (other, second) in combinations(boxes.items(), 2):
        shared = Bbox.intersection(box, second)
        if shared and area(shared) > 0.15 * min(area(box), area(second)):
            found.append(f"on each other: {one.get_text()!r} and {other.get_text()!r}")
    return found


def boxes_of(fig: Figure) -> dict[Text, Bbox]:
    """All texts that are seen, and where they are drawn."""
    hidden = set()  # tick labels beyond an axis's limits, or of an axis that is turned off
    for ax, axis in ((axis.axes, axis) for own in fig.axes for axis in (own.xaxis, own.yaxis)):
        off = not (ax.get_visible() and ax.axison and axis.get_visible())
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if off or not low <= tick.get_loc() <= high:
                hidden |= {tick.label1, tick.label2}
    shown = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return {text: text.get_window_extent() for text in shown if text not in hidden}


def missing_units(ax: Axes) -> list[str]:
    """Axes with numbers on them need a label with a unit; names of things need none."""
    found = []
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        label = axis.get_label_text() or shared_label(ax, name)
        if ax.axison and axis.get_visible() and has_numbers(axis) and not UNIT.search(label):
            found.append(f"{name} axis of {ax.get_title()!r} has no unit: {label!r}")
    return found


def has_numbers(axis: Axis) -> bool:
    """Whether there are tick labels, and all of them are numbers (powers are set as formulas)."""
    shown = [tick.label1 for tick in axis.get_major_ticks() if tick.label1.get_visible()]
    words = [text.get_text().replace("\N{MINUS SIGN}", "-") for text in shown if text.get_text()]
    return bool(words) and all(re.fullmatch(r"\$.*\$|-?[\d.,]+", word) for word in words)


def shared_label(ax: Axes, name: str) -> str:
    """The label of the whole figure, or that of the leftmost or lowest axes in line with these."""
    if name == "y" and ax.figure.get_supylabel():
        return ax.figure.get_supylabel()
    box = ax.get_position()
    for other in ax.figure.axes:
        place = other.get_position()
        same = abs(place.y0 - box.y0) < 0.01 if name == "y" else abs(place.x0 - box.x0) < 0.01
        label = other.get_ylabel() if name == "y" else other.get_xlabel()
        if same and label:
            return label
    return ""


def area(box: Bbox) -> float:
    """Of a box, in pixels."""
    return box.width * box.height
