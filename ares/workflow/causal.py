"""`ares causal`: resample the choices of one shard of rollouts and measure what they decide."""

from __future__ import annotations

import argparse

#: Branches per forward pass.
BATCH = 12


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `causal`."""
    parser = commands.add_parser("causal", help="measure what each choice does to the pass rate")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--rollouts", required=True, metavar="TABLE")
    parser.add_argument("--shard", required=True, type=int, metavar="N")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the effects of every position of the shard's rollouts."""
    from dataclasses import replace

    from ares.analysis.causal import Intervention, causal_table
    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.sampling.policy import load, sampling_of
    from ares.sampling.rollouts import check_tasks, check_tokens, evenly_spaced, tasks_from_table
    from ares.tables import check_shard, read_form

    config = load_config(options.config, SMALL_WORLD)
    causal = config["causal"]
    check_shard(options.shard, causal["shards"])
    # One rollout per problem and presentation, evenly spaced over the table.
    rollouts = read_form(options.rollouts, "rollouts", "token_ids", "entropy")
    firsts = rollouts.query("sample == 0")
    chosen = evenly_spaced(len(firsts), causal["rollouts"])
    mine = firsts.iloc[chosen[options.shard :: causal["shards"]]]
    model, processor, world = load(config)
    tasks = tasks_from_table(mine, look=config["seed"])
    check_tasks(tasks, world, options.rollouts)
    check_tokens(mine, model, options.rollouts)
    table = causal_table(
        mine,
        tasks,
        model,
        processor,
        world,
        Intervention(
            alternatives=causal["alternatives"],
            continuations=causal["continuations"],
            min_probability=causal["min_alternative_probability"],
            effect_threshold=causal["effect_threshold"],
        ),
        replace(sampling_of(config), batch_prompts=BATCH),
        progress=f"causal {options.shard}",
    )
    write_table(options.out, table)
