"""Seeds that depend on nothing but their names: not on order, batches or processes."""

from __future__ import annotations

import hashlib


def row_seed(seed: int, *names: object) -> int:
    """A 64-bit seed that depends on nothing but its arguments."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big")
