"""A trap for pickles, the undisturbed run of tests with real jobs, and the count of fuzz cases."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.robustness.harness import make_place, start
from tests.robustness.spoil import COUNTS

#: Scales that run side by side.
MANY = tuple(f"many-{number}" for number in range(8))


@pytest.fixture
def sprung(tmp_path):
    """The file that a trap leaves; it must not be there at the end of the test."""
    yield tmp_path / "sprung"
    assert not (tmp_path / "sprung").exists()


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


def pytest_terminal_summary(terminalreporter) -> None:
    for name, number in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{number:>7,}  {name}")


def pytest_sessionfinish(session) -> None:
    least = int(os.environ.get("ARES_FUZZ_LEAST", "0"))
    if COUNTS.total() < least and session.exitstatus == 0:
        print(f"\n{COUNTS.total()} fuzz cases ran, at least {least} were asked for")
        session.exitstatus = 1
