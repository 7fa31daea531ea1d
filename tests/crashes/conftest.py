"""The undisturbed run that all tests with real jobs compare with."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.crashes.harness import make_place, start

#: Scales that run side by side.
MANY = tuple(f"many-{number}" for number in range(8))


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A function that makes a copy of the repository in which nothing has run: equal ones."""
    first = make_place(tmp_path_factory.mktemp("first") / "place", MANY)

    def copy() -> Path:
        place = tmp_path_factory.mktemp("copy") / "place"
        shutil.copytree(first, place, symlinks=True)
        script = place / "bin/papermill"  # it names the Python of its own copy
        script.write_text(script.read_text().replace(f"{first}/", f"{place}/"))
        return place

    return copy


@pytest.fixture(scope="session")
def undisturbed(fresh) -> Path:
    """A copy in which the workflow has run once."""
    place = fresh()
    begin = time.monotonic()
    run = start(place)
    assert run.wait(timeout=2 * 3600) == 0, (place / "workflow.log").read_text()[-3000:]
    print(f"\nundisturbed: {time.monotonic() - begin:.0f} s", flush=True)
    return place
