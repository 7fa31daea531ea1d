"""A client that is going to be killed: `killed_client.py URL STORE NUMBER PARALLEL`.

Tells every answer that it has seen, at once.
"""

from __future__ import annotations

import sys

from ares.backends.server import ServerBackend
from ares.backends.store import CachedBackend, Store
from tests.backends.scenes import questions


def main() -> None:
    url, path, number, parallel = sys.argv[1:]
    backend = ServerBackend(url, "stub", parallel=int(parallel), wait_s=0.1)
    with Store(path) as store:
        for asked, outcome in CachedBackend(backend, store).generate(questions(int(number))):
            print(asked.id, outcome.text, flush=True)


if __name__ == "__main__":
    main()
