"""Sample responses to one shard of the problems; their ids are unique over all shards."""

import numpy as np

from ares.io import write_table
from ares.sampling.policy import load, sampling_of
from ares.sampling.rollouts import check_tasks, roll_out, tasks_from_table
from ares.steps import step
from ares.tables import check_shard, read_form

with step(snakemake) as scale:
    shard = int(snakemake.wildcards.shard)
    check_shard(shard, scale.rollouts.shards)
    problems = read_form(snakemake.input.problems, "problems")
    mine = np.arange(shard, len(problems), scale.rollouts.shards)
    model, processor, world = load(scale)
    tasks = tasks_from_table(problems.iloc[mine], look=scale.seed)
    check_tasks(tasks, world, snakemake.input.problems)
    sampling = sampling_of(scale)
    table = roll_out(model, processor, tasks, world, sampling, progress=f"rollouts {shard}")
    ids = np.repeat(mine, sampling.samples) * sampling.samples + table["sample"].to_numpy()
    table.insert(0, "rollout_id", ids)
    write_table(snakemake.output[0], table)
