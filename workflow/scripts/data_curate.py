"""Select the traces of both cold starts, and tell what every bracket gave."""

from ares.coldstart.curate import with_pass_rates
from ares.io import write_table
from ares.paperscale.curate import known_only, select
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    settings = scale.cold_start
    pass_rates = read_form(snakemake.input.pass_rates, "paper_pass_rates")
    pool = known_only(read_form(snakemake.input.pool, "paper_pool"), pass_rates)
    traces = with_pass_rates(pool, pass_rates, "source")
    table, report = select(traces, settings.size, settings.samples, scale.seed)
    print(report.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for curation, number in table["curation"].value_counts(sort=False).items():
        print(f"{curation}: {number} of {settings.size} examples selected")
    write_table(snakemake.output[0], table)
