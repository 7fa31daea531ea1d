"""A world file that can't be is refused with the key's name."""

from __future__ import annotations

import copy

import pytest
import yaml

from ares.data.world_settings import World, load_world
from ares.errors import UserError
from ares.paths import CONFIG
from ares.settings import checked

RAW = yaml.safe_load((CONFIG / "world.yaml").read_text())


def broken(*path_and_value) -> dict:
    raw = copy.deepcopy(RAW)
    *path, last, value = path_and_value
    place = raw
    for key in path:
        place = place[key]
    place[last] = value
    return raw


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (broken("nummbers", [2, 9]), "unknown key 'nummbers'"),
        (
            broken("language", "filler_rat", 0.1),
            "unknown key 'language.filler_rat'; did you mean 'filler_rate'",
        ),
        ({k: v for k, v in RAW.items() if k != "habits"}, "missing key 'habits'"),
        (broken("habits", "direct", 0.9), "shares of habits"),
        (broken("split", "test", 0.1), "shares of split"),
        (broken("numbers", [2, 99]), "range of numbers"),
        (broken("language", "fillers", ["try", "okay"]), "two slots"),
        (None, "is not a config"),
    ],
)
def test_broken_worlds(raw, message: str) -> None:
    with pytest.raises(UserError, match=message):
        checked(World, raw, "world.yaml")


def test_a_world_survives_the_round_trip_through_plain_settings() -> None:
    world = load_world()
    assert checked(World, world.dump(), "copy") == world


def test_missing_and_unreadable_files(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_world(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("{a: [")
    with pytest.raises(UserError, match="not valid YAML"):
        load_world(tmp_path / "bad.yaml")
