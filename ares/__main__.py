"""`python -m ares` is `ares`: for launchers that start modules (torchrun, accelerate launch)."""

from __future__ import annotations

import sys

from ares.cli import main

if __name__ == "__main__":
    sys.exit(main())
