"""Resample the choices in one shard of the rollouts, and measure what they decide."""

from dataclasses import replace

from ares.analysis.causal import causal_table
from ares.data.problems import problems_of
from ares.io import write_table
from ares.model.load import load
from ares.sampling.rollouts import check_tokens, evenly_spaced, sampling_of
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    shard = int(snakemake.wildcards.shard)
    settings, path = scale.causal, snakemake.input.rollouts
    # One rollout per problem and presentation, evenly spaced over the table.
    firsts = read_form(path, "rollouts", "token_ids", "entropy").query("sample == 0")
    chosen = evenly_spaced(len(firsts), settings.rollouts)
    mine = firsts.iloc[chosen[shard :: settings.shards]]
    problems = problems_of(scale, mine, path)
    model, processor, _ = load(scale, snakemake.params.model)
    check_tokens(mine, model, path)
    sampling = replace(sampling_of(scale), batch_prompts=12)  # branches per forward pass
    write_table(
        snakemake.output[0],
        causal_table(mine, problems, model, processor, settings, sampling, f"causal {shard}"),
    )
