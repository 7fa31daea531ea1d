"""Sample responses to one shard of the problems; their ids are unique over all shards."""

import numpy as np

from ares.data.problems import read_problems
from ares.io import write_table
from ares.model.load import load
from ares.sampling.rollouts import roll_out, sampling_of
from ares.steps import step

with step(snakemake) as scale:
    shard, shards = int(snakemake.wildcards.shard), scale.rollouts.shards
    sampling, every = sampling_of(scale), read_problems(scale, snakemake.input.problems)
    problems = every.shard(shard, shards)
    model, processor, _ = load(scale)
    table = roll_out(model, processor, problems, sampling, progress=f"rollouts {shard}")
    mine = np.arange(shard, len(every), shards)
    ids = np.repeat(mine, sampling.samples) * sampling.samples + table["sample"].to_numpy()
    table.insert(0, "rollout_id", ids)
    write_table(snakemake.output[0], table)
