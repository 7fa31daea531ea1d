"""The named settings, their sources and their page."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, fields

import pytest

from ares import paths
from ares.errors import UserError
from ares.method.presets import ARMS, PRESETS, SOURCES, Settings, preset, render


def test_the_names():
    arms = {"grpo", "dapo", "ares-no-kl", "ares-no-entropy", "ares-branch"}
    assert set(PRESETS) == {"paper", "released", "ares"} | arms
    assert preset("ares") is PRESETS["ares"]
    with pytest.raises(UserError, match="choose from paper, released, ares"):
        preset("areas")


@pytest.mark.parametrize("name", [entry.name for entry in fields(Settings)])
def test_every_value_carries_its_source(name):
    metadata = Settings.__dataclass_fields__[name].metadata
    assert metadata["doc"]
    for source in SOURCES:
        value, cited = metadata[source]
        assert cited and getattr(PRESETS[source], name) == value


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_changes_what_it_says_and_nothing_else(arm):
    ours, its = asdict(PRESETS["ares"]), asdict(PRESETS[arm])
    changed = {name for name in ours if ours[name] != its[name]}
    assert changed == set(ARMS[arm])
    assert all(its[name] == value and cited for name, (value, cited) in ARMS[arm].items())


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        PRESETS["ares"].window = 8


def test_the_committed_page_is_the_generated_one():
    page = (paths.ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert page == render(), "run: python -m ares.method.presets > docs/presets.md"
