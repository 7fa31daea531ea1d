"""Draw the test problems from the held-out split of the world."""

from ares.data.world import draw_table
from ares.data.world_settings import load_world
from ares.io import write_table
from ares.steps import step

with step(snakemake) as scale:
    drawn, world = scale.problems, load_world(scale.world)
    shown = drawn.levels, drawn.presentations
    problems = draw_table(world, "test", *shown, drawn.per_level, scale.seed, few=False)
    write_table(snakemake.output[0], problems)
