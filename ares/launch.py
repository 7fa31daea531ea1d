"""The steps that a launcher such as accelerate starts: `python -m ares.launch train --config ...`.

A function is a step, and its arguments are its options. The rule of a step depends on the code that
its function imports, so imports stand there. All other steps are scripts, workflow/scripts/*.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option, Typer

from ares.config import load_config
from ares.errors import one_line
from ares.io import write_table

app = Typer(pretty_exceptions_enable=False)

Text = Annotated[str, Option()]
Number = Annotated[int, Option(min=0)]
File = Annotated[Path, Option()]


@app.command()
def pass_rates(config: Text, problems: File, shard: Number, store: Text, out: File) -> None:
    """Measure how often the base model solves the problems of one shard of the cold start."""
    from ares.coldstart import curate
    from ares.data.problems import read_problems
    from ares.sampling.rollouts import responses

    scale = load_config(config)
    mine = read_problems(scale, problems).shard(shard, scale.cold_start.shards)
    given = responses(scale, scale.cold_start, mine, scale.model, store, "pass rates")
    table = curate.pass_rates(mine.table, given, scale.cold_start.samples)
    print(f"{len(table)} problems, mean pass rate {table['pass_rate'].mean():.3f}")
    write_table(out, table)


@app.command()
def rollouts(
    config: Text, problems: File, shard: Number, model: Text, store: Text, out: File
) -> None:
    """Sample responses to one shard of the problems; their ids are unique over all shards."""
    from ares.data.problems import read_problems
    from ares.sampling.rollouts import responses

    scale = load_config(config)
    part, every = scale.rollouts, read_problems(scale, problems)
    mine = every.shard(shard, part.shards)
    table = responses(scale, part, mine, model, store, f"rollouts {shard}")
    number = shard + part.shards * (table.index // part.samples)
    table.insert(0, "rollout_id", number * part.samples + table["sample"].to_numpy())
    write_table(out, table.reset_index(drop=True))


@app.command()
def tokens(config: Text, rollouts: File, model: Text, tokens_out: File, top_k_out: File) -> None:
    """Label every token of the rollouts, and keep the top log-probabilities of some."""
    from ares.analysis.tokens import token_tables
    from ares.data.problems import problems_of
    from ares.method.lexicon import load_lexicon
    from ares.model.load import load
    from ares.sampling.rollouts import check_tokens
    from ares.tables import read_form

    scale = load_config(config)
    own = ("entropy", "logprob") if scale.backend.kind == "engine" else ()
    table = read_form(rollouts, "rollouts", "token_ids", *own, maker=scale.material)
    policy, processor, world = load(scale, model)
    problems = problems_of(scale, table, str(rollouts))
    check_tokens(table, policy, str(rollouts))
    language = None if scale.of_data_sets else world.language
    labelled, top_k = token_tables(
        *(table, problems, policy, processor, language, load_lexicon()),
        scale.rollouts.temperature,
        batch_size=scale.rollouts.batch_scores,
    )
    write_table(top_k_out, top_k)
    write_table(tokens_out, labelled)


@app.command()
def sft(
    config: Text, selection: File, curation: Text, state: File, model_out: File, losses_out: File
) -> None:
    """Fine-tune the base model on one curation; run again, it goes on where it was."""
    from ares.coldstart.curate import selected
    from ares.tables import read_form
    from ares.training.sft import fine_tune

    scale = load_config(config)
    table = read_form(selection, "selection", maker=scale.material)
    fine_tune(scale, selected(table, curation), state, model_out, losses_out)


@app.command()
def train(
    config: Text,
    prompts: File,
    arm: Text,
    seed: Number,
    start: Text,
    state: File,
    model_out: File,
    tables_out: File,
) -> None:
    """Train one arm with one seed (AEPO); run again, it goes on where it was."""
    import shutil

    from ares.evaluation.grader import Grader
    from ares.tables import read_form
    from ares.training.checkpoints import alone
    from ares.training.run import TrainingRun

    scale = load_config(config)
    table = read_form(prompts, "problems", maker=scale.material)
    with Grader() as grader:
        run = TrainingRun(scale, arm, seed, table, start, state, grader)
        processes = run.trainer.accelerator
        with alone(state, processes.is_main_process):
            run.train()
            run.save(model_out)
            if processes.is_main_process:
                for name, rows in run.tables().items():
                    write_table(tables_out / f"{name}.parquet", rows)
                shutil.rmtree(state)  # an interrupted run would need it, and this one is written
    processes.wait_for_everyone()
    processes.end_training()  # a process that leaves its group behind may abort at exit


if __name__ == "__main__":
    with one_line():
        app(standalone_mode=False)
