"""Parts that the tests of the trainer are put together from; also imported by their subprocesses.

A random model solves nothing, so rollouts are graded by something that varies: the parity of a
response's length, or a fixed share of right answers per problem.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback

from ares.config import Aepo, Scale, load_config
from ares.data.items import Problems, row_seed
from ares.data.problems import choose_problems
from ares.data.world import draw_table, world_problems
from ares.data.world_settings import load_world
from ares.evaluation.grader import Grader
from ares.method.presets import preset
from ares.model.load import load_policy
from ares.training.arguments import grpo_config
from ares.training.data import prompt_dataset, text_of
from ares.training.rollouts import RolloutGroup
from ares.training.run import TrainingRun
from ares.training.trainer import AEPOTrainer
from tests.configs import changed

SCHEDULE = Aepo(
    steps=2, prompts=2, updates=1, lr=1e-3, warmup=0.0, max_new_tokens=16, checkpoint_every=1,
    arms={"ares": {"seeds": (1,)}},
)  # fmt: skip
BOTH = ("text", "image")
#: For comparisons up to rounding: AdamW turns a gradient that is nothing but rounding into a step.
SGD = {"optim": "sgd", "learning_rate": 0.1}


def scheduled(**changes: Any) -> Aepo:
    """The short schedule with other sizes or rates."""
    return SCHEDULE.model_copy(update=changes)


def settings(name: str, **changes: Any):
    """A preset with groups of four, many HWE tokens and other changes."""
    return replace(preset(name), **{"group_size": 4, "threshold_quantile": 0.7, **changes})


def problems(presentations: Sequence[str] = BOTH, seed: int = 5) -> Problems:
    """Four problems of every level."""
    world, levels = load_world(), ("easy", "medium", "hard")
    return world_problems(draw_table(world, "train", levels, presentations, 4, seed), world, look=3)


def dataset(prompts: int, presentations: Sequence[str] = BOTH, seed: int = 5):
    """Rows of the small world's training split."""
    return prompt_dataset(problems(presentations, seed), prompts, seed)


def odd_length(completions: Sequence[Any], **columns: Any) -> list[float]:
    """A verdict with variance: 1 where the text of a response has an odd number of words."""
    return [float(len(text_of(completion).split()) % 2) for completion in completions]


def fixed_share(completions: Sequence[Any], **columns: Any) -> list[float]:
    """Verdicts with every difficulty: a problem's number sets the share of right answers."""
    verdicts = []
    for completion, problem in zip(completions, columns["problem_id"], strict=True):
        share = (row_seed(0, problem) % 5) / 4
        verdicts.append(float(row_seed(1, text_of(completion)) % 97 < 97 * share))
    return verdicts


def half_useless(completions: Sequence[Any], **columns: Any) -> list[float]:
    """`odd_length` for every second problem; all are right for the others: dynamic sampling."""
    return [
        verdict if row_seed(2, problem) % 2 else 1.0
        for verdict, problem in zip(odd_length(completions), columns["problem_id"], strict=True)
    ]


class FixedSampler:
    """Rollouts that depend on the problem alone, of unequal lengths, most with an end token."""

    def groups(
        self, trainer: AEPOTrainer, rows: Sequence[dict[str, Any]], key: tuple[int, ...], size: int
    ) -> list[RolloutGroup]:
        return [self._group(trainer, row, size) for row in rows]

    def _group(self, trainer: AEPOTrainer, row: dict[str, Any], size: int) -> RolloutGroup:
        rng = np.random.default_rng(row_seed(2, row["problem_id"], row["source"]))
        ceiling = int(rng.integers(8, trainer.max_completion_length + 1))
        (end,) = trainer.eos_token_ids
        words = np.arange(28, 68)  # more than half of them in the lexicon
        completions = []
        for _ in range(size):
            length = int(rng.integers(6, ceiling + 6))
            ids = rng.choice(words, size=min(length, ceiling)).tolist()
            completions.append(ids if length > ceiling else [*ids[:-1], end])
        return RolloutGroup(row, completions, parents=[-1] * size, branch_at=[0] * size)


def trainer(
    folder: str | Path,
    output_dir: str | Path,
    method: Any,
    verifier: Any = fixed_share,
    schedule: Aepo = SCHEDULE,
    data: Any = None,
    processes: int = 1,
    seed: int = 3,
    arguments: dict[str, Any] | None = None,
    **others: Any,
) -> AEPOTrainer:
    """A trainer of the small world that keeps quiet and writes nothing unless told to."""
    torch.set_num_threads(1)
    model, processor = load_policy(folder)
    args = grpo_config(
        method,
        schedule,
        output_dir,
        seed,
        processes,
        **{"save_strategy": "no", **(arguments or {})},
    )
    made = AEPOTrainer(
        model, method, verifier, args,
        dataset(schedule.steps * schedule.prompts) if data is None else data,
        processing_class=processor, **others,
    )  # fmt: skip
    made.remove_callback(PrinterCallback)
    return made


def parameters(made: Any) -> torch.Tensor:
    """Every parameter of the policy in one row."""
    model = made.accelerator.unwrap_model(made.model)
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def losses(made: Any, name: str = "loss") -> list[float]:
    """A logged number, by optimizer step."""
    return [entry[name] for entry in made.state.log_history if name in entry]


#: What one process and two processes have to do alike: preset, and arguments of the trainer.
SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "ares": ("ares", {}),
    "ares-passes": ("ares", {"tokens_per_pass": 120}),
    "ares-pictures-on-one-process": ("ares", {"data": "sides"}),
    "released": ("released", {"tokens_per_pass": 120}),
    "grpo": ("grpo", {}),
    "dapo": ("dapo", {}),
}
#: What two processes have to agree on: each draws fresh prompts of its own.
REFILL = "dapo-refill"


def one_sided(steps: int):
    """Batches of four prompts: two without pictures, then two with."""
    data = dataset(12 * steps)
    text, image = ([at for at, row in enumerate(data) if row["source"] == name] for name in BOTH)
    return data.select([row for _ in range(steps) for row in _pop(text, 2) + _pop(image, 2)])


def _pop(items: list[int], count: int) -> list[int]:
    return [items.pop(0) for _ in range(count)]


def outcome(name: str, folder: str | Path, output_dir: str | Path, processes: int) -> dict:
    """Train a scenario on fixed rollouts; what it wrote down, its state and its parameters."""
    base, others = SCENARIOS.get(name, ("dapo", {}))
    if name == REFILL:
        others = {"refill_rounds": 2, "fresh": dataset(12, seed=6)}
    if others.get("data") == "sides":
        others = {**others, "data": one_sided(3)}
    made = trainer(
        folder, output_dir, settings(base), sampler=FixedSampler(),
        schedule=scheduled(steps=3, prompts=4), processes=processes, arguments=SGD,
        **others,
    )  # fmt: skip
    made.train()
    return {
        "records": made.records.table(), "method": made.method.state_dict(), "trees": made.trees,
        "parameters": parameters(made), "fresh": made.fresh and made.fresh.position,
    }  # fmt: skip


def close(one: Any, other: Any) -> bool:
    """Whether two states are equal up to rounding, through dicts and lists."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return abs(one - other) <= 1e-5 if isinstance(one, float) else one == other


def small_config(**changes: Any) -> Scale:
    """The smoke scale, smaller still; `changes` are keys of its section aepo."""
    sizes = {"steps": 4, "max_new_tokens": 20, "per_level": 6, "branch_roots": 4}
    validation = {"per_level": 1, "samples": 1, "every": 2}
    aepo = {**sizes, "validation": validation, **changes}
    return changed(load_config("smoke"), {f"aepo.{key}": value for key, value in aepo.items()})


def run_of(arm: str, folder: str | Path, state: str | Path, **changes: Any) -> TrainingRun:
    """A run of the small config that is graded by `half_useless`."""
    config = small_config(**changes)
    prompts = choose_problems(config, "aepo")
    made = TrainingRun(config, arm, 1, prompts, folder, state, Grader())
    made.trainer.grader.verifier = half_useless
    made.trainer.remove_callback(PrinterCallback)
    return made


def remains(made: TrainingRun) -> dict[str, Any]:
    """Everything a run leaves behind that has to be the same for the same run."""
    state = made.trainer.state_dict()
    del state["records"]["seconds"]
    tables = {name: table for name, table in made.tables().items() if name != "timings"}
    return {"state": state, "tables": tables, "parameters": parameters(made.trainer)}
