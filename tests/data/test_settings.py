"""A world file that can't be is refused with the key's name."""

from __future__ import annotations

import copy
from functools import reduce
from operator import getitem

import pytest
import yaml

from ares.data.world_settings import World, load_world
from ares.errors import UserError
from ares.paths import CONFIG
from ares.settings import checked

RAW = yaml.safe_load((CONFIG / "world.yaml").read_text())


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("nummbers", [2, 9], "unknown key 'nummbers'"),
        ("language.filler_rat", 0.1, "unknown key .* did you mean 'filler_rate'"),
        ("habits", None, "missing key 'habits'"),
        ("habits.direct", 0.9, "shares of habits"),
        ("split.test", 0.1, "shares of split"),
        ("numbers", [2, 99], "range of numbers"),
        ("language.fillers", ["try", "okay"], "two slots"),
    ],
)
def test_broken_worlds(place, value, message: str) -> None:
    raw = copy.deepcopy(RAW)
    *parents, last = place.split(".")
    part = reduce(getitem, parents, raw)
    part.pop(last, None)
    if value is not None:
        part[last] = value
    with pytest.raises(UserError, match=message):
        checked(World, raw, "world.yaml")


def test_a_world_survives_the_round_trip_through_plain_settings() -> None:
    world = load_world()
    assert checked(World, world.dump(), "copy") == world
