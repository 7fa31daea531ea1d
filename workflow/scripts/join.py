"""Join the parts of a table, in their order."""

from ares.io import write_table
from ares.steps import step
from ares.tables import join

with step(snakemake):
    write_table(snakemake.output[0], join(snakemake.input.parts))
