"""Choose the problems of the cold start, or the prompts of AEPO, from the data sets."""

import pandas as pd

from ares.io import write_table
from ares.paperscale.problems import chosen_tables
from ares.steps import step

with step(snakemake) as scale:
    tables = chosen_tables(scale, snakemake.wildcards.use)
    write_table(snakemake.output[0], pd.concat(tables, ignore_index=True))
