"""One run of reinforcement learning in the small world: a config, an arm, a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import PartialState
from transformers import PrinterCallback, TrainerCallback

from ares.errors import UserError
from ares.method.presets import preset
from ares.model.save import publish
from ares.sampling.policy import load
from ares.sampling.rollouts import Sampling, Task, roll_out
from ares.training.arguments import Schedule, grpo_config
from ares.training.data import draw_cells, prompt_dataset, verifier
from ares.training.resuming import train_or_resume
from ares.training.rollouts import EngineSampler
from ares.training.trainer import AEPOTrainer
from ares.world.settings import World

#: Offsets that keep the draws of a run's parts apart.
_FRESH = 1_000_003

#: Columns of two tables, given in full: a state that was saved and read has its keys sorted.
_VALIDATION = ["step", "level", "presentation", "responses", "accuracy", "n_tokens", "finished"]
_TREES = ["step", "prompt_index", "rollout", "parent", "branch_at", "n_tokens", "correct", "text"]


@dataclass(frozen=True)
class Arm:
    """A run as the config names it."""

    name: str
    preset: str
    start: str
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, config: dict[str, Any], name: str) -> Arm:
        """The arm under a name.

        Raises:
            UserError: the config has no such arm.
        """
        arms = config["aepo"]["arms"]
        if name not in arms:
            raise UserError(f"no arm {name!r} in aepo.arms; there are {', '.join(arms)}")
        entry = arms[name]
        return cls(name, entry.preset or name, entry.start, entry.seeds)


class Run:
    """The trainer of one run with its validation; `train` starts or resumes it.

    Args:
        config: of the scale.
        arm: which preset.
        seed: of the run.
        start: model folder that training starts from; its copy on disk is the reference policy.
        state: folder for resumable states.

    Raises:
        UserError: an unknown preset, a model of another world, sizes that do not fit.
    """

    def __init__(
        self, config: dict[str, Any], arm: Arm, seed: int, start: str | Path, state: str | Path
    ) -> None:
        settings, aepo = preset(arm.preset), config["aepo"]
        self.arm, self.seed = arm, seed
        schedule = Schedule.of(aepo)
        # Before a model is put on a device: this gives every process its own.
        processes = PartialState(cpu=not torch.cuda.is_available()).num_processes
        model, processor, self.world = load(config.model_copy(update={"model": str(start)}))
        shown = config["problems"]["levels"], config["problems"]["presentations"]
        cells = draw_cells(self.world, *shown, aepo["per_level"], "train", config["seed"])
        count, look = schedule.steps * schedule.prompts, config["seed"]
        self.trainer = AEPOTrainer(
            model,
            settings,
            verifier(self.world),
            grpo_config(settings, schedule, state, seed, processes),
            prompt_dataset(cells, count, seed, look, self.world.values),
            fresh=prompt_dataset(cells, count, seed + _FRESH, look, self.world.values),
            refill_rounds=aepo["refill_rounds"],
            tokens_per_pass=aepo["tokens_per_pass"],
            sampler=EngineSampler(roots=min(aepo["branch_roots"], settings.group_size)),
            processing_class=processor,
        )
        checked = aepo["validation"]
        held_out = draw_cells(
            self.world, *shown, checked["per_level"], "validation", config["seed"]
        )
        self.validation = Validation(
            self.trainer,
            [
                Task(problem, level, presentation, look)
                for (level, presentation), problems in held_out.items()
                for problem in problems
            ],
            self.world,
            Sampling(
                samples=checked["samples"],
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_new_tokens=schedule.max_new_tokens,
                batch_prompts=config["evaluation"]["batch_prompts"],
                seed=config["seed"],
            ),
            checked["every"],
        )
        self.trainer.add_callback(self.validation)
        self.trainer.remove_callback(PrinterCallback)  # it prints every metric of every update
        self.trainer.add_callback(Progress(self.trainer, f"{arm.name}, seed {seed}"))

    def train(self) -> None:
        """Train to the end, from the newest whole checkpoint where there is one."""
        train_or_resume(self.trainer)

    def save(self, folder: str | Path) -> None:
        """Write the trained model as a plain folder, with its processor and world.

        Every process may call this; the first one writes.
        """
        if self.trainer.accelerator.is_main_process:
            model = self.trainer.accelerator.unwrap_model(self.trainer.model)
            publish(model, self.trainer.processing_class, self.world, folder)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables steps, timings, validation and trees, each with the columns arm and seed."""
        tables = {
            "steps": self.trainer.records.table(),
            "timings": self.trainer.records.seconds(),
            "validation": pd.DataFrame(self.trainer.measurements, columns=_VALIDATION),
            "trees": pd.DataFrame(self.trainer.trees, columns=_TREES),
        }
        for table in tables.values():
            table.insert(0, "arm", self.arm.name)
            table.insert(1, "seed", self.seed)
        return tables


class Progress(TrainerCallback):
    """A line on the terminal after every batch of rollouts, from the first process."""

    def __init__(self, trainer: AEPOTrainer, name: str) -> None:
        self.trainer, self.name = trainer, name

    def on_log(self, args: Any, state: Any, control: Any, logs: dict, **others: Any) -> None:
        """Tell how the batch went, when its last optimizer step has been logged."""
        updates = args.steps_per_generation // args.gradient_accumulation_steps
        step, rest = divmod(state.global_step, updates)
        now = self.trainer.records.current()
        if rest or not state.is_world_process_zero or "grad_norm" not in logs:
            return
        print(
            f"{self.name}: batch {step} of {state.max_steps // updates}, accuracy "
            f"{now['accuracy']:.3f}, {now['length']:.0f} tokens, {now['hwe']:.1f} of them HWE",
            flush=True,
        )


class Validation(TrainerCallback):
    """Accuracy and length on a fixed set of held-out problems, every so many batches.

    What it measures goes into the trainer's `measurements`, which its checkpoints hold.
    """

    def __init__(
        self, trainer: AEPOTrainer, tasks: list[Task], world: World, sampling: Sampling, every: int
    ) -> None:
        self.trainer, self.tasks, self.world = trainer, tasks, world
        self.sampling, self.every = sampling, every

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Measure the model that training starts from."""
        if state.global_step == 0:
            self.measure(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Measure after every so many batches of rollouts, and after the last."""
        updates = args.steps_per_generation // args.gradient_accumulation_steps
        step, rest = divmod(state.global_step, updates)
        if rest == 0 and (step % self.every == 0 or state.global_step == state.max_steps):
            self.measure(step)

    def measure(self, step: int) -> None:
        """Sample, grade, and keep the means of every cell."""
        with self.trainer.records.clock("validation"):
            model = self.trainer.accelerator.unwrap_model(self.trainer.model)
            table = roll_out(
                model, self.trainer.processing_class, self.tasks, self.world, self.sampling
            )
        means = table.groupby(["level", "presentation"], sort=False, as_index=False).agg(
            responses=("correct", "size"),
            accuracy=("correct", "mean"),
            n_tokens=("n_tokens", "mean"),
            finished=("finished", "mean"),
        )
        self.trainer.measurements += means.assign(step=step).to_dict("records")
