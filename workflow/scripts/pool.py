"""Collect verified traces for the problems of one shard, and tell what was left out."""

from ares.coldstart.teachers import collect, pool, room_for_traces
from ares.data.problems import read_problems
from ares.io import write_table
from ares.model.load import load_processor
from ares.steps import step

with step(snakemake) as scale:
    every = read_problems(scale, snakemake.input.problems)
    problems = every.shard(int(snakemake.wildcards.shard), scale.cold_start.shards)
    room, processor = room_for_traces(scale, problems.table), load_processor(scale.model)
    found = collect(scale, problems, snakemake.params.store)
    table, left_out = pool(problems.table, found, processor, room)
    write_table(snakemake.output[0], table)
    print(f"{len(table)} traces of {len(problems)} problems")
    for why, number in left_out.items():
        print(f"  {number} left out: {why}")
