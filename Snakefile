"""The ARES compendium: from the shipped base model to every figure.

    snakemake --cores all                          the laptop scale
    snakemake --cores all --config scale=smoke     another scale, or the path of a config file
    snakemake --cores 1 base                       train the base model again
    snakemake -n --config scale=paper-7b           a real model, real data: docs/paper-scale.md

The config decides what models are trained and tested on: the small world, or data sets. Results go to
results/<scale>/ and figures/<scale>/.
"""

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/figures.smk"


rule all:
    """Make every table, finding and figure of the scale, the manifest, and the page of findings."""
    default_target: True
    input:
        f"{RESULTS}/manifest.json",
        # Findings are judged in the small world; real models have benchmarks instead.
        REPORT,
