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
    from ares.coldstart.pass_rates import measure
    from ares.data.problems import read_problems

    scale = load_config(config)
    mine = read_problems(scale, problems).shard(shard, scale.cold_start.shards)
    write_table(out, measure(scale, mine, store, "pass rates"))


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

    from ares.answers.grader import Grader
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
