"""The ARES compendium: from the shipped base model to every figure.

    snakemake --cores all                          the laptop scale
    snakemake --cores all --config scale=smoke     another scale, or the path of a config file
    snakemake --cores 1 base                       train the base model again
    snakemake -n --config scale=paper-7b           a real model, real data: docs/paper-scale.md

The config decides which rules there are: those of the small world, or those of real models. Results go to results/<scale>/ and figures/<scale>/.
"""

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"


if kind_of(SCALE) == PAPER:

    include: "workflow/rules/paper_common.smk"
    include: "workflow/rules/paper.smk"

else:

    include: "workflow/rules/base.smk"
    include: "workflow/rules/tables.smk"
    include: "workflow/rules/training.smk"
    include: "workflow/rules/figures.smk"


rule all:
    """Make every table, finding and figure of the scale, the manifest, and the page of findings."""
    default_target: True
    input:
        f"{RESULTS}/manifest.json",
        # Findings are judged in the small world; real models have benchmarks instead.
        [] if kind_of(SCALE) == PAPER else f"{RESULTS}/report",
