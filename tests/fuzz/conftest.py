"""Tells how many fuzz cases ran, and fails a run that ran fewer than it was told to."""

from __future__ import annotations

import os

from tests.fuzz.cases import COUNTS


def pytest_terminal_summary(terminalreporter) -> None:
    if not COUNTS:
        return
    terminalreporter.section("fuzz cases")
    for name, number in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{number:>7,}  {name}")
    terminalreporter.write_line(f"{COUNTS.total():>7,}  in total")


def pytest_sessionfinish(session) -> None:
    least = int(os.environ.get("ARES_FUZZ_LEAST", "0"))
    if COUNTS.total() < least and session.exitstatus == 0:
        print(f"\n{COUNTS.total()} fuzz cases ran, at least {least} were asked for")
        session.exitstatus = 1
