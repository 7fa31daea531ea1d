"""Test one model: how right, how long and how uncertain it answers the test problems."""

from ares.analysis.evaluation import evaluate
from ares.data.problems import choose_problems, problems_of
from ares.io import write_table
from ares.model.load import load
from ares.sampling.rollouts import sampling_of
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    given = snakemake.params
    # The base model's entropy threshold counts the HWE tokens of all models.
    base = [read_form(path, "evaluation") for path in snakemake.input.threshold]
    model, processor, _ = load(scale, given.model)
    table = evaluate(
        model,
        processor,
        problems_of(scale, choose_problems(scale, "evaluation")),
        sampling_of(scale, scale.evaluation),
        *base,
        progress=f"testing {given.arm}, seed {given.seed}",
    )
    table.insert(0, "arm", given.arm)
    table.insert(1, "seed", given.seed)
    write_table(snakemake.output[0], table)
