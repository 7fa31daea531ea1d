"""How far a run is: one line on the terminal around any backend's `generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tqdm import tqdm

from ares.backends.base import Failure, Request, Response


def watched(
    results: Iterator[tuple[Request, Response | Failure]], total: int | None, label: str
) -> Iterator[tuple[Request, Response | Failure]]:
    """The results as they are, with a bar: requests done, their tokens, failures.

    Silent where stderr is no terminal.

    Args:
        total: number of requests, None if unknown.
        label: what the bar is called; "" for no bar.
    """
    silent = not label or not sys.stderr.isatty()
    tokens = failed = 0
    with tqdm(total=total, desc=label, unit="req", dynamic_ncols=True, disable=silent) as bar:
        for request, outcome in results:
            if isinstance(outcome, Failure):
                failed += 1
            else:
                tokens += outcome.tokens or 0
            told = f"{tokens:,} tokens" + (f", {failed} failed" if failed else "")
            bar.set_postfix_str(told, refresh=False)
            bar.update()
            yield request, outcome
