"""Select the traces of both cold starts, and tell what every bracket gave."""

from ares.coldstart.curate import curate, with_pass_rates
from ares.errors import UserError
from ares.io import write_table
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    settings, given = scale.cold_start, snakemake.input
    more = ("numbers", "target", "text")  # which the repository's copy of the pool lacks
    pool = read_form(given.pool, "pool", *more, maker=scale.material)
    pass_rates = read_form(given.pass_rates, "pass_rates", maker=scale.material)
    if other := set(pass_rates["samples"]) - {settings.samples}:
        raise UserError(
            f"{given.pass_rates}: of {min(other)} samples a problem, and the config says "
            f"{settings.samples}; measure the pass rates again"
        )
    traces = with_pass_rates(pool, pass_rates)
    selection, report = curate(traces, settings.size, settings.samples, scale.seed)
    print(report.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for curation, number in selection["curation"].value_counts(sort=False).items():
        print(f"{curation}: {number} of {settings.size} examples selected")
    write_table(snakemake.output[0], selection)
