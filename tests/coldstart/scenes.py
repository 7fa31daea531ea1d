"""A question to a teacher that several tests put."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from ares.io import write_table
from ares.paths import CONFIG


def asking(folder: Path, model: Path, url: str) -> list[str]:
    """Options of `ares.steps.traces`: a server as the teacher, a problem as text and as picture.

    Writes the config and the pass rates into `folder`, where the pool and the store go as well.
    """
    settings = yaml.safe_load((CONFIG / "smoke.yaml").read_text())
    settings |= {"model": str(model), "scale": "taught"}
    (folder / "taught.yaml").write_text(yaml.safe_dump(settings))
    rates = {"problem_id": "2-3=5", "level": "easy", "k": 2, "target": 5, "samples": 4}
    rates |= {"correct": 2, "pass_rate": 0.5, "n_tokens": 20.0}
    table = pd.DataFrame({"presentation": ["text", "image"], "numbers": [[2, 3]] * 2, **rates})
    write_table(folder / "rates.parquet", table)
    return [
        *("--config", str(folder / "taught.yaml")),
        *("--pass-rates", str(folder / "rates.parquet")),
        *("--out", str(folder / "pool.parquet"), "--store", str(folder / "s.sqlite")),
        *("--endpoint", url, "--teacher", "m", "--effort", "low", "high"),
    ]
