"""Draw the test problems from the held-out split of the world."""

import pandas as pd

from ares.io import write_table
from ares.steps import step
from ares.world.problem import problem_rows
from ares.world.settings import load_world

with step(snakemake) as scale:
    drawn, world = scale.problems, load_world(scale.world)
    rows = problem_rows(drawn.levels, drawn.presentations, drawn.per_level, world, scale.seed)
    write_table(snakemake.output[0], pd.DataFrame(rows))
