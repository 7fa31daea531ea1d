"""Colours of the house in grey and as people with colour-blindness see them."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from ares import plotting

#: What the eye makes of linear RGB without one kind of cone (Machado et al. 2009, severity 1).
BLIND = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
#: Colours that are told apart by nothing else: bars and areas have no markers.
BARS = {
    "levels": [style["color"] for style in plotting.LEVELS.values()],
    "pair": list(plotting.PAIR),
}
#: The arms of the ablation, which meet in one panel.
ABLATION = [plotting.ARMS[a] for a in ("ares", "ares-no-kl", "ares-no-entropy", "dapo", "grpo")]


def seen(colour, kind: str) -> np.ndarray:
    """The colour in CIE Lab, as an eye of that kind sees it."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    linear = np.clip(np.array(BLIND[kind]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def luminance(colour) -> float:
    """How light a colour is in grey, 0 to 1."""
    return float(np.dot(mpl.colors.to_rgb(colour), (0.299, 0.587, 0.114)))


def nearest(colours: list, kind: str) -> float:
    """Smallest distance (CIE 1976) between two of the colours; 2.3 can just be noticed."""
    pairs = combinations([seen(colour, kind) for colour in colours], 2)
    return min(float(np.linalg.norm(a - b)) for a, b in pairs)


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("name", BARS)
def test_bars_are_told_apart_by_every_eye(name, kind):
    assert nearest(BARS[name], kind) > 30


@pytest.mark.parametrize("name", BARS)
def test_bars_are_told_apart_in_grey(name):
    grey = sorted(luminance(colour) for colour in BARS[name])
    assert min(np.diff(grey)) > 0.15


@pytest.mark.parametrize("kind", BLIND)
def test_the_arms_of_the_ablation_are_told_apart_by_every_eye(kind):
    assert nearest([style["color"] for style in ABLATION], kind) > 15


@pytest.mark.parametrize("styles", [plotting.LEVELS, plotting.STARTS | plotting.ARMS])
def test_lines_are_told_apart_without_colour(styles):
    for one, other in combinations(styles.values(), 2):
        assert one["marker"] != other["marker"]
        assert one["linestyle"] != other["linestyle"]


def test_curves_that_are_no_arm_have_dashes_of_their_own_and_no_arms_colour():
    taken = {style["color"] for style in (plotting.STARTS | plotting.ARMS).values()}
    assert len({str(curve["linestyle"]) for curve in plotting.CURVES}) == len(plotting.CURVES)
    assert not taken & {curve["color"] for curve in plotting.CURVES}


PANELS = ("threshold", "N_HE", "smallest margin")


def test_a_note_is_broken_to_the_width_of_its_figure():
    plotting.use_style()
    fig, _ = plt.subplots(figsize=(plotting.COLUMN, 2))
    plotting.note(fig, "n = 7 problems; bars: 95 % intervals over problems. " * 3)
    fig.canvas.draw()
    right = fig._supxlabel.get_window_extent().x1
    plt.close(fig)
    assert 0.6 * fig.bbox.width < right <= fig.bbox.width
