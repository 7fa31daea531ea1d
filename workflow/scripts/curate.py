"""Select the traces of both cold starts, and tell what every bracket gave."""

from ares.coldstart.curate import curate, with_pass_rates
from ares.io import write_table
from ares.steps import step
from ares.tables import check_samples, read_form

with step(snakemake) as scale:
    settings, given = scale.cold_start, snakemake.input
    # Compact tables of the repository lack what a run's own have.
    more = () if scale.of_data_sets else ("numbers", "target", "text")
    pool = read_form(given.pool, "pool", *more, data=scale.of_data_sets)
    pass_rates = read_form(given.pass_rates, "pass_rates", data=scale.of_data_sets)
    check_samples(pass_rates, settings.samples, given.pass_rates)
    traces = with_pass_rates(pool, pass_rates)
    selection, report = curate(traces, settings.size, settings.samples, scale.seed)
    print(report.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for curation, number in selection["curation"].value_counts(sort=False).items():
        print(f"{curation}: {number} of {settings.size} examples selected")
    write_table(snakemake.output[0], selection)
