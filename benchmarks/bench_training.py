"""What does AEPO cost over TRL's stock GRPOTrainer, and what does the sampler give back?

    python benchmarks/bench_training.py [model folder] [--updates 1] [--batches 15]

Three trainers with the same arguments, text prompts and reward take turns, one batch of rollouts
each, on one CPU thread:

    stock     TRL's GRPOTrainer
    method    AEPOTrainer with TRL's generation: what the method alone costs
    ares      AEPOTrainer as a scale trains, with the sampler of ares and packed passes

The learning rate is 0 and every turn is seeded by its number, so `stock` and `method` train on the
very same rollouts; those of `ares` have the same distribution. Dynamic sampling is off: it buys
more rollouts, which is no overhead. Every round gives one ratio per phase; medians are printed.
Ratios are of CPU time of the trainer's thread, which other work on the machine lengthens least.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.utils import logging
from trl import GRPOTrainer

from ares.config import load_config
from ares.data.world import draw_table, world_problems
from ares.data.world_settings import load_world
from ares.evaluation.grader import Grader
from ares.method.presets import preset
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from ares.training.arguments import grpo_config
from ares.training.data import Verifier, prompt_dataset
from ares.training.rollouts import EngineSampler
from ares.training.trainer import AEPOTrainer

#: A step is sampling + scoring (reference, old policy, reward, method) + update.
PHASES = ("sampling", "scoring", "update", "step")


class Turns(TrainerCallback):
    """Lets a trainer run in a thread of its own, one batch of rollouts at a time, and times it."""

    def __init__(self, trainer: GRPOTrainer, updates: int) -> None:
        self.trainer, self.updates = trainer, updates
        self.seconds: dict[str, float] = {}
        self.rollouts: dict[str, torch.Tensor] = {}
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._time("_generate_and_score_completions", "rollouts")
        self._time("_generate_single_turn", "sampling")
        if trainer_draws(trainer):
            self._time("_draw", "sampling")
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(self)
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._thread.start()

    def take(self) -> dict[str, float]:
        """Train on one batch of rollouts; returns the seconds of every phase."""
        self._go.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error
        rollouts, sampling = self.seconds["rollouts"], self.seconds["sampling"]
        step = self.seconds["step"]
        return dict(
            zip(PHASES, (sampling, rollouts - sampling, step - rollouts, step), strict=True)
        )

    def mean_length(self) -> float:
        """Tokens per rollout of the last batch."""
        return float(self.rollouts["completion_mask"].sum(1).float().mean())

    def on_step_begin(self, args, state, control, **others) -> None:
        if state.global_step % self.updates == 0:
            self._go.acquire()
            torch.manual_seed(state.global_step)
            self.seconds = {"rollouts": 0.0, "sampling": 0.0}
            self._begin = time.thread_time()

    def on_step_end(self, args, state, control, **others) -> None:
        if state.global_step % self.updates == 0:
            self.seconds["step"] = time.thread_time() - self._begin
            self._done.release()

    def _train(self) -> None:
        try:
            self.trainer.train()
        except BaseException as error:  # handed over to the thread that waits
            self._error = error
            self._done.release()

    def _time(self, method: str, phase: str) -> None:
        inner: Callable[..., Any] = getattr(self.trainer, method)

        def timed(*arguments: Any, **named: Any) -> Any:
            begin = time.thread_time()
            result = inner(*arguments, **named)
            self.seconds[phase] += time.thread_time() - begin
            if phase == "rollouts":
                self.rollouts = result
            return result

        setattr(self.trainer, method, timed)


def trainer_draws(trainer: GRPOTrainer) -> bool:
    """Whether a trainer draws rollouts before TRL asks for them."""
    return isinstance(trainer, AEPOTrainer) and trainer.sampler is not None


def trainers(options: argparse.Namespace, folder: str) -> dict[str, GRPOTrainer]:
    """The three trainers, alike but for what their names say."""
    settings, config, world = preset("ares"), load_config("laptop"), load_world()
    sizes = {"steps": options.batches + 1, "prompts": options.prompts, "updates": options.updates}
    aepo = config.aepo.model_copy(update={**sizes, "lr": 0.0, "max_new_tokens": options.tokens})
    levels = config.problems.levels
    table = draw_table(world, "train", levels, ["text"], 200, 0)
    data = prompt_dataset(world_problems(table, world, 0), aepo.steps * aepo.prompts, 0)
    reward = Verifier(Grader())

    def build(name: str) -> GRPOTrainer:
        model, processor = load_policy(options.model)
        quiet = {"save_strategy": "no", "logging_strategy": "no"}
        args = grpo_config(settings, aepo, f"{folder}/{name}", 0, **quiet)
        if name == "stock":
            return GRPOTrainer(
                model, reward, args=args, train_dataset=data, processing_class=processor
            )
        as_run = {"sampler": EngineSampler(), "tokens_per_pass": aepo.tokens_per_pass}
        return AEPOTrainer(
            model, settings, reward, args, data, processing_class=processor,
            **(as_run if name == "ares" else {}),
        )  # fmt: skip

    return {name: build(name) for name in ("stock", "method", "ares")}


def main() -> None:
    """Print the ratios to stock of every round, then their medians."""
    options = parse_options()
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # of the weights
    with tempfile.TemporaryDirectory() as folder:
        turns = {
            name: Turns(trainer, options.updates)
            for name, trainer in trainers(options, folder).items()
        }
        rounds, lengths = [], []
        for number in range(-1, options.batches):  # the first round warms up
            # Alternating who goes first cancels what one turn does to the next.
            order = sorted(turns, reverse=number % 2 == 0)
            taken = {name: turns[name].take() for name in order}
            if number >= 0:
                rounds.append(taken)
                stock = taken["stock"]["step"]
                ratios = (f"{name} {taken[name]['step'] / stock:.3f}" for name in turns)
                print("step to stock:", "; ".join(ratios), flush=True)
                lengths.append({name: turns[name].mean_length() for name in turns})
                same = [turns[name].rollouts["completion_ids"] for name in ("stock", "method")]
                assert torch.equal(*same), "stock and method did not do the same work"
    report(rounds)
    for name in turns:
        print(f"{name:7} {statistics.mean(each[name] for each in lengths):.1f} tokens per rollout")


def report(rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print the median and the range of the ratios of every phase."""
    for name in rounds[0]:
        for phase in PHASES:
            ratios = [taken[name][phase] / taken["stock"][phase] for taken in rounds]
            print(
                f"{name:7} {phase:9} to stock: {statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f})"
            )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=BASE_MODEL, help="model folder")
    parser.add_argument("--prompts", type=int, default=8, help="per batch, eight rollouts each")
    parser.add_argument("--updates", type=int, default=4, help="optimizer steps per batch")
    parser.add_argument("--tokens", type=int, default=128, help="longest response")
    parser.add_argument("--batches", type=int, default=9, help="rounds that count")
    return parser.parse_args()


if __name__ == "__main__":
    main()
