"""Draw the test problems from the held-out split of the world."""

from ares.io import write_table
from ares.sampling.rollouts import problem_table
from ares.steps import step
from ares.world.settings import load_world

with step(snakemake) as scale:
    write_table(
        snakemake.output[0],
        problem_table(scale.problems, load_world(scale.world), scale.seed),
    )
