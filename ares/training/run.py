"""One run of reinforcement learning: a scale, an arm, a seed, the prompts chosen for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import PartialState
from transformers import PrinterCallback, TrainerCallback

from ares.config import Aepo, Scale
from ares.data.problems import choose_problems, problems_of
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.model.load import load
from ares.model.processor import reads_pictures, tokenizer_of
from ares.model.save import save_plain
from ares.sampling.prompts import placeholders
from ares.sampling.rollouts import Sampling, roll_out
from ares.tables import columns_of
from ares.training.arguments import grpo_config
from ares.training.checkpoints import train_or_resume
from ares.training.data import Verifier, prompt_dataset
from ares.training.rollouts import EngineSampler
from ares.training.sft import checkpointing
from ares.training.trainer import AEPOTrainer

#: Offset that keeps the order of the prompts of dynamic sampling apart.
_FRESH = 1_000_003


def sampler_arguments(aepo: Aepo, model: Any, tokenizer: Any) -> dict[str, Any]:
    """The arguments of GRPOConfig that decide who draws rollouts, without placeholders of pictures.

    A response that held one could be neither scored nor trained on: no picture belongs to it.
    """
    barred = placeholders(model.config)
    if aepo.vllm.mode == "none":
        own = {"suppress_tokens": barred}
    else:
        own = {"bad_words": tokenizer.convert_ids_to_tokens(barred)}
    return {**vllm_arguments(aepo), **({"generation_kwargs": own} if barred else {})}


def vllm_arguments(aepo: Aepo) -> dict[str, Any]:
    """The arguments of GRPOConfig that let vLLM draw the rollouts; none in the mode `none`.

    The environment variable VLLM_SERVER, which config/slurm/train-with-server.sh sets, takes the
    place of the scale's url.
    """
    vllm = aepo.vllm
    if vllm.mode == "none":
        return {}
    common = {
        "use_vllm": True,
        "vllm_mode": vllm.mode,
        "vllm_importance_sampling_mode": vllm.importance,
    }
    if vllm.mode == "server":
        return {**common, "vllm_server_base_url": os.environ.get("VLLM_SERVER", vllm.url)}
    return {
        **common,
        "vllm_gpu_memory_utilization": vllm.gpu_memory,
        "vllm_tensor_parallel_size": vllm.tensor_parallel,
        "vllm_enable_sleep_mode": vllm.sleep,
        "vllm_max_model_length": aepo.max_prompt_tokens + aepo.max_new_tokens,
    }


class TrainingRun:
    """The trainer of one run with its validation; `train` starts or resumes it.

    Args:
        arm: its name among those of the scale.
        prompts: table of `choose_problems`.
        start: model that training starts from; its copy on disk is the reference policy.
        state: folder for resumable states.
        grader: entered, and left when the run is over.

    Raises:
        UserError: an unknown arm or preset, a model of another world, no prompts, data that have
            changed, sizes that do not fit, prompts of both kinds for a sharded model.
    """

    def __init__(
        self,
        scale: Scale,
        arm: str,
        seed: int,
        prompts: pd.DataFrame,
        start: str | Path,
        state: str | Path,
        grader: Grader,
    ) -> None:
        aepo = scale.aepo
        self.arm, self.seed, self.start = arm, seed, start
        if arm not in aepo.arms:
            raise UserError(f"no arm {arm!r} in aepo.arms; there are {', '.join(aepo.arms)}")
        settings = aepo.settings_of(arm)
        # Before a model is put on a device: this gives every process its own.
        processes = PartialState(cpu=not torch.cuda.is_available()).num_processes
        model, processor, _ = load(scale, str(start), device="cpu")
        problems, pictures = problems_of(scale, prompts, "the prompts"), reads_pictures(processor)
        count = aepo.steps * aepo.prompts
        verifier = Verifier(grader)
        changes: dict[str, Any] = {}
        more: dict[str, Any] = {}
        if scale.of_data_sets:
            own = sampler_arguments(aepo, model, tokenizer_of(processor))
            changes = {"activation_checkpointing": checkpointing(), **own}
        else:
            roots = min(aepo.branch_roots, settings.group_size)
            more = {
                "tokens_per_pass": aepo.tokens_per_pass,
                "sampler": EngineSampler(roots),
                "gradients_every": aepo.gradients_every,
            }
        self.trainer = AEPOTrainer(
            model,
            settings,
            verifier,
            grpo_config(settings, aepo, state, seed, processes, **changes),
            prompt_dataset(problems, count, seed, pictures),
            fresh=prompt_dataset(problems, count, seed + _FRESH, pictures),
            refill_rounds=aepo.refill_rounds,
            processing_class=processor,
            **more,
        )
        if self.trainer._sharded and prompts["pictures"].gt(0).nunique() > 1:
            raise UserError(
                "the prompts are with and without pictures, and processes that share the parts of "
                "a model would wait for each other: set aepo.pictures to only or none"
            )
        self.validation: ValidationCallback | None = None
        if scale.of_data_sets:  # answers to the small world's problems are always gradable
            verifier.trainer = self.trainer
        else:
            self.validation = ValidationCallback(self.trainer, scale)
            self.trainer.add_callback(self.validation)
        self.trainer.remove_callback(PrinterCallback)  # it prints every metric of every update
        self.trainer.add_callback(ProgressPrinter(self.trainer, f"{arm}, seed {seed}"))

    def train(self) -> None:
        """Train to the end, from the newest whole checkpoint where there is one."""
        train_or_resume(self.trainer)

    def save(self, folder: str | Path) -> None:
        """Write the trained model as a plain folder; every process must call this."""
        save_plain(self.trainer, self.start, folder)

    def tables(self) -> dict[str, pd.DataFrame]:
        """steps and timings, in the small world also validation and trees, with arm and seed."""
        trainer = self.trainer
        tables = {"steps": trainer.records.table(), "timings": trainer.records.seconds()}
        if self.validation is not None:
            # In full: no rows have no columns, and a state that was read has its keys sorted.
            for name, rows in (("validation", trainer.measurements), ("trees", trainer.trees)):
                tables[name] = pd.DataFrame(rows, columns=columns_of(name)[2:])
        for table in tables.values():
            table.insert(0, "arm", self.arm)
            table.insert(1, "seed", self.seed)
        return tables


class ProgressPrinter(TrainerCallback):
    """A line on the terminal after every batch of rollouts, from the first process."""

    def __init__(self, trainer: AEPOTrainer, name: str) -> None:
        self.trainer, self.name = trainer, name

    def on_log(self, args: Any, state: Any, control: Any, logs: dict, **others: Any) -> None:
        """Print how the batch went once its last optimizer step has been logged."""
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


class ValidationCallback(TrainerCallback):
    """Accuracy and length on a fixed set of held-out problems, every so many batches.

    What it measures goes into the trainer's `measurements`, which its checkpoints hold.
    """

    def __init__(self, trainer: AEPOTrainer, scale: Scale) -> None:
        checked = scale.aepo.validation
        self.trainer, self.every = trainer, checked.every
        self.sampling = Sampling(
            samples=checked.samples,
            temperature=trainer.settings.temperature,
            top_p=trainer.settings.top_p,
            max_new_tokens=scale.aepo.max_new_tokens,
            batch_prompts=scale.evaluation.batch_prompts,
            seed=scale.seed,
        )
        table = choose_problems(scale, "validation")
        # Cell by cell, so that prompts of one length share a batch.
        cells = table.groupby(["level", "presentation"], sort=False).ngroup()
        table = table.loc[cells.sort_values(kind="stable").index]
        self.problems = problems_of(scale, table)

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
            table = roll_out(model, self.trainer.processing_class, self.problems, self.sampling)
        means = table.groupby(["level", "presentation"], sort=False, as_index=False).agg(
            responses=("correct", "size"),
            accuracy=("correct", "mean"),
            n_tokens=("n_tokens", "mean"),
            finished=("finished", "mean"),
        )
        self.trainer.measurements += means.assign(step=step).to_dict("records")
