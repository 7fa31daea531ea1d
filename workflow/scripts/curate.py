"""Select the traces of both cold starts, and tell what every bracket gave."""

import pandas as pd

from ares.coldstart.curate import CURATIONS, curate, with_pass_rates
from ares.io import write_table
from ares.steps import step
from ares.tables import check_samples, read_form

with step(snakemake) as scale:
    settings = scale.cold_start
    pool = read_form(snakemake.input.pool, "pool", "numbers", "target", "text")
    pass_rates = read_form(snakemake.input.pass_rates, "pass_rates")
    check_samples(pass_rates, settings.samples, snakemake.input.pass_rates)
    traces, selections = with_pass_rates(pool, pass_rates), []
    for curation in CURATIONS:
        selection, report = curate(traces, curation, settings.size, settings.samples, scale.seed)
        print(report.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
        print(f"{curation}: {len(selection)} of {settings.size} examples selected")
        selections.append(selection)
    write_table(snakemake.output[0], pd.concat(selections, ignore_index=True))
