"""A question to a teacher that several tests put."""

from collections import Counter
from pathlib import Path

import pandas as pd
import yaml

from ares.coldstart.teachers import collect, pool, room_for_traces
from ares.config import Scale, load_config
from ares.data.problems import problems_of
from ares.io import write_table
from ares.model.load import load_processor
from ares.paths import CONFIG


def taught(folder: Path, model: Path, url: str, **teachers) -> Scale:
    """The smoke scale with a server as the teacher; its file lies in the folder."""
    settings = yaml.safe_load((CONFIG / "smoke.yaml").read_text())
    server = {"url": url, "model": "m"}
    asked = {"text": server, "pictures": server, "efforts": ["low", "high"], **teachers}
    settings["cold_start"]["teachers"] = asked
    path = folder / "taught.yaml"
    path.write_text(yaml.safe_dump({**settings, "model": str(model), "scale": "taught"}))
    return load_config(path)


def asked(folder: Path, scale: Scale) -> tuple[pd.DataFrame, Counter]:
    """The pool of a text and a picture of one problem; the pool and the store go to the folder."""
    rows = {"problem_id": "2-3=5", "level": "easy", "k": 2, "target": 5}
    table = pd.DataFrame({"presentation": ["text", "image"], "numbers": [[2, 3]] * 2, **rows})
    problems = problems_of(scale, table)
    room, processor = room_for_traces(scale, problems.table), load_processor(scale.model)
    found = collect(scale, problems, folder / "s.sqlite")
    kept, left_out = pool(problems.table, found, processor, room)
    write_table(folder / "pool.parquet", kept)
    return kept, left_out
