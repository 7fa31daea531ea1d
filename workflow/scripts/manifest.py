"""Write down what was made: hashes, commit, config, machine, seconds of every job."""

from pathlib import Path

from ares.io import write_json
from ares.manifest import manifest
from ares.steps import step

with step(snakemake) as scale:
    made, given = snakemake.input, snakemake.params
    write_json(
        snakemake.output[0],
        manifest(
            scale,
            Path(given.benchmarks),
            [*made.tables, *(file for file in made.made if Path(file).is_file())],
            made.figures,
            made.notebooks,
            timed=given.timed,
        ),
    )
