"""A number and its interval against the bound of its rule, as a small drawing."""

from __future__ import annotations

import math

from markupsafe import Markup

from ares.report.findings import Row
from ares.report.words import CLASSES

WIDTH, HEIGHT, MARGIN = 150, 18, 8


def strip(row: Row) -> Markup:
    """An SVG picture; empty where there is no number. The numbers themselves stand beside it."""
    value, low, high = (row.raw[key] for key in ("ours", "ci_low", "ci_high"))
    if math.isnan(value):
        return Markup("")
    bounds = [row.part.bound]
    if row.part.direction == "within":
        bounds = [-row.part.bound, row.part.bound]
    known = [value, *bounds, *(end for end in (low, high) if math.isfinite(end))]
    least, span = min(known), (max(known) - min(known)) or 1.0

    def x(place: float) -> str:
        return f"{MARGIN + (place - least) / span * (WIDTH - 2 * MARGIN):.1f}"

    middle = HEIGHT // 2
    lines = [f'<path class="bound" d="M{x(bound)} 1V{HEIGHT - 1}"/>' for bound in bounds]
    if math.isfinite(low) and math.isfinite(high):
        lines.append(f'<path class="range" d="M{x(low)} {middle}H{x(high)}"/>')
    lines.append(f'<circle cx="{x(value)}" cy="{middle}" r="3.5"/>')
    return Markup(
        f'<svg class="strip {CLASSES[row.verdict]}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" aria-hidden="true" focusable="false">{"".join(lines)}</svg>'
    )
