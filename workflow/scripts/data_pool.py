"""Collect verified traces for the problems of one shard, and tell what was left out."""

from ares.io import write_table
from ares.paperscale.problems import ChosenItems, data_sets, shard_of
from ares.paperscale.processor import load_processor
from ares.paperscale.traces import collect
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    shard = int(snakemake.wildcards.shard)
    chosen = read_form(snakemake.input.problems, "paper_problems")
    problems = shard_of(chosen, shard, scale.cold_start.shards)
    items = ChosenItems(problems, data_sets(scale, problems["source"].unique().tolist()))
    tokenizer = load_processor(scale.model).tokenizer
    table, left_out = collect(scale, problems, items, tokenizer, snakemake.params.store)
    write_table(snakemake.output[0], table)
    solved = len(table.groupby(["source", "row"]))
    print(f"{len(table)} traces of {solved} of {len(problems)} problems")
    for why, number in left_out.items():
        print(f"  {number} left out: {why}")
