"""Energy of the processor packages, where the kernel tells it (the RAPL counters of Intel and AMD).

Most virtual machines have no such counters, and many systems let only root read them. Then nothing
is measured, and the manifest says so.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ares.io import read_json, write_json

ZONES = Path("/sys/class/powercap")
#: Counters of a busy processor start again after some minutes at the earliest.
EVERY_S = 20.0


class Meter:
    """Adds up what the packages take; everything that runs on the machine counts.

    Args:
        file: holds the sum; that of earlier runs is added to.
    """

    def __init__(self, file: Path, zones: Path = ZONES) -> None:
        self.file = file
        self.ranges = ranges(zones)
        self.last = {zone: counter(zone) for zone in self.ranges}
        self.joules = joules(file) or 0.0

    def sample(self) -> None:
        """Add what was taken since the last time; a counter that started again is no surprise."""
        for zone, span in self.ranges.items():
            now = counter(zone)
            self.joules += (now - self.last[zone]) % span / 1e6
            self.last[zone] = now
        write_json(self.file, {"joules": round(self.joules, 1)})


def counter(zone: Path) -> int:
    """The counter of a zone, in microjoules."""
    return int((zone / "energy_uj").read_text())


def ranges(zones: Path = ZONES) -> dict[Path, int]:
    """Zone of every processor package whose counter may be read -> where it starts again."""
    found = {}
    for zone in sorted(zones.glob("intel-rapl:*")):
        try:
            # Zones of cores and memory are parts of a package's, and psys holds the packages.
            if (zone / "name").read_text().startswith("package"):
                counter(zone)
                found[zone] = int((zone / "max_energy_range_uj").read_text()) + 1
        except OSError:
            continue
    return found


def joules(file: Path) -> float | None:
    """What was measured so far, None where nothing was."""
    return read_json(file)["joules"] if file.is_file() else None


def measure(file: Path, zones: Path = ZONES) -> None:
    """Measure from now on until this process ends, where there is something to read."""
    if ranges(zones):
        threading.Thread(target=_go_on, args=(Meter(file, zones),), daemon=True).start()


def _go_on(meter: Meter) -> None:
    while True:
        time.sleep(EVERY_S)
        meter.sample()
