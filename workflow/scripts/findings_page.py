"""Write the findings page: every claim, our numbers, the verdicts and the figures, in one file."""

from pathlib import Path

from ares.findings.page import write_run
from ares.steps import step

with step(snakemake) as scale:
    write_run(scale.scale, snakemake.params.given, Path(snakemake.output[0]))
