"""The named settings, their sources and their page."""

from dataclasses import asdict, replace

import pytest
import yaml
from pydantic import ValidationError

from ares.errors import UserError
from ares.method.presets import FILE, PRESETS, preset

SOURCED = yaml.safe_load(FILE.read_text(encoding="utf-8"))
ARMS = SOURCED.pop("arms")


def test_the_names():
    assert set(SOURCED) == {"paper", "released", "ares"}
    assert set(ARMS) >= {"grpo", "dapo", "ares-no-kl", "ares-no-entropy", "ares-branch"}
    assert set(PRESETS) == set(SOURCED) | set(ARMS)
    assert preset("ares") is PRESETS["ares"]
    with pytest.raises(UserError, match="choose from paper, released, ares"):
        preset("areas")


@pytest.mark.parametrize("name", SOURCED)
def test_every_value_carries_its_source(name):
    assert {key: value for key, (value, _) in SOURCED[name].items()} == asdict(PRESETS[name])
    assert all(cited for _, cited in SOURCED[name].values())


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_changes_what_it_says_and_nothing_else(arm):
    ours, its = asdict(PRESETS["ares"]), asdict(PRESETS[arm])
    changed = {name for name in ours if ours[name] != its[name]}
    assert changed == set(ARMS[arm])
    assert all(its[name] == value and cited for name, (value, cited) in ARMS[arm].items())


@pytest.mark.parametrize(
    "changes",
    [
        *({"group_size": 1}, {"window": 0}, {"window": "4"}, {"threshold": "mean"}),
        *({"kl_rho": 0.0}, {"colour": "red"}),
    ],
)
def test_values_without_meaning_are_refused(changes):
    with pytest.raises((ValidationError, TypeError)):
        replace(PRESETS["ares"], **changes)
