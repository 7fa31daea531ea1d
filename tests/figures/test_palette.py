"""Colours of the house in grey and as people with colour-blindness see them."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
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
#: Colours that meet in one panel, and their least distance. Bars and areas have no markers.
MEET = {
    "levels": ([style["color"] for style in plotting.LEVELS.values()], 30),
    "pair": (list(plotting.PAIR), 30),
    "ablation": ([plotting.ARMS[arm]["color"] for arm in ("ares", "ares-no-kl", "ares-no-entropy",
                                                          "dapo", "grpo")], 15),
}  # fmt: skip


def seen(colour, kind: str) -> np.ndarray:
    """The colour in CIE Lab, as an eye of that kind sees it."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    linear = np.clip(np.array(BLIND[kind]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("name", MEET)
def test_colours_that_meet_are_told_apart_by_every_eye(name, kind):
    colours, least = MEET[name]
    pairs = combinations([seen(colour, kind) for colour in colours], 2)
    # CIE 1976; a distance of 2.3 can just be noticed.
    assert min(float(np.linalg.norm(a - b)) for a, b in pairs) > least


@pytest.mark.parametrize("name", ["levels", "pair"])
def test_bars_are_told_apart_in_grey(name):
    weights = (0.299, 0.587, 0.114)
    grey = sorted(np.dot(mpl.colors.to_rgb(colour), weights) for colour in MEET[name][0])
    assert min(np.diff(grey)) > 0.15


@pytest.mark.parametrize("styles", [plotting.LEVELS, plotting.STARTS | plotting.ARMS])
def test_lines_are_told_apart_without_colour(styles):
    for one, other in combinations(styles.values(), 2):
        assert one["marker"] != other["marker"]
        assert one["linestyle"] != other["linestyle"]
    assert plotting.model_style("of my own") not in styles.values()


def test_curves_that_are_no_arm_have_dashes_of_their_own_and_no_arms_colour():
    taken = {style["color"] for style in (plotting.STARTS | plotting.ARMS).values()}
    assert len({str(curve["linestyle"]) for curve in plotting.CURVES}) == len(plotting.CURVES)
    assert not taken & {curve["color"] for curve in plotting.CURVES}
