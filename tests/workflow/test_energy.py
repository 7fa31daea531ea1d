"""Energy: counters as the kernel shows them, in folders of our own."""

from pathlib import Path

import pytest

from ares.energy import Meter, joules, measure, ranges


@pytest.fixture
def zones(tmp_path) -> Path:
    """Two packages, a part of one of them, and the whole platform."""
    for name, kind in [("0", "package-0"), ("1", "package-1"), ("0:0", "core"), ("2", "psys")]:
        zone = tmp_path / f"powercap/intel-rapl:{name}"
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{kind}\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
        set_counter(tmp_path / "powercap", name, 1_000_000)
    return tmp_path / "powercap"


def set_counter(zones: Path, name: str, microjoules: int) -> None:
    (zones / f"intel-rapl:{name}" / "energy_uj").write_text(f"{microjoules}\n")


def test_packages_are_added_up_and_their_parts_are_not(zones, tmp_path):
    meter = Meter(tmp_path / "energy.json", zones)
    for name in ("0", "1", "0:0", "2"):
        set_counter(zones, name, 6_000_000)
    meter.sample()
    assert joules(tmp_path / "energy.json") == 10.0


def test_a_counter_that_starts_again_and_a_run_that_goes_on(zones, tmp_path):
    set_counter(zones, "0", 262_143_328_850 - 1_000_000)
    meter = Meter(tmp_path / "energy.json", zones)
    set_counter(zones, "0", 2_000_000 - 1)
    meter.sample()
    assert joules(tmp_path / "energy.json") == 3.0
    later = Meter(tmp_path / "energy.json", zones)
    set_counter(zones, "1", 5_000_000)
    later.sample()
    assert joules(tmp_path / "energy.json") == 7.0


def test_without_counters_nothing_is_measured(tmp_path):
    assert ranges(tmp_path) == {}
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0/name").write_text("package-0\n")
    assert ranges(tmp_path) == {}  # its counter can't be read
    measure(tmp_path / "energy.json", tmp_path)
    assert joules(tmp_path / "energy.json") is None
