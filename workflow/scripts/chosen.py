"""Choose the problems of the cold start or of the analysis, or the prompts of AEPO."""

from ares.data.problems import choose_problems
from ares.io import write_table
from ares.steps import step

with step(snakemake) as scale:
    write_table(snakemake.output[0], choose_problems(scale, snakemake.params.use))
