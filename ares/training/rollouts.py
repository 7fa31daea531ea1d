"""Groups of rollouts before they are scored: drawn, graded, and replaced where they teach nothing.

Dynamic sampling (DAPO, section 3.5), choices:
1. What decides is the accuracy: a group is kept when its mean lies strictly inside the bounds. The
   entropy reward would leave nearly every group with some variance.
2. Fresh groups are drawn for a fixed number of rounds. What is still uninformative then stays in
   the batch with its tokens masked out of the loss, so shapes and batch sizes never change.
3. Processes draw equally many groups in a round, as many as the neediest asks for, because drawing
   may be collective; what another process did not need is thrown away.
4. The release filters on its reward (`reward_first`). That filter needs entropies, so it is applied
   to the scored batch: dropped groups are masked, not replaced.

Allotment (`probe`, ours; the paper spends more rollouts where entropy is high), choices:
5. A batch has as many rollouts as without it. Every prompt gets `probe`; the others go to prompts
   of which no rollout was right yet, in turn, until these have twice the usual number, then to
   prompts with right and wrong ones, and to those that were all right only if there are no others.
6. The pass rate of a group is that of all its rollouts, although how many there are depends on the
   first. Means over prompts (accuracy, length) are recorded from the first `probe` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from torch import Tensor
from trl.data_utils import prepare_multimodal_messages

from ares.data.items import row_seed
from ares.errors import UserError
from ares.method.tensors import pad_rows
from ares.sampling.branching import sample_groups
from ares.sampling.engine import sample
from ares.sampling.prompts import Prompt, split_prompts
from ares.training.processes import everywhere

if TYPE_CHECKING:
    from ares.training.trainer import AEPOTrainer


@dataclass(eq=False)
class RolloutGroup:
    """The rollouts of one prompt."""

    row: dict[str, Any]  #: of the data set
    completions: list[list[int]]  #: token ids
    accuracy: list[float] = field(default_factory=list)  #: 0 to 1 each
    logprobs: list[list[float]] | None = None  #: of vLLM, for TRL's importance correction
    scores: list[tuple[Tensor, Tensor]] | None = None  #: log-probabilities, entropies (T,), nats
    parents: list[int] = field(default_factory=list)  #: see `ares.sampling.branching.Group`
    branch_at: list[int] = field(default_factory=list)

    def informative(self, low: float, high: float) -> bool:
        """Whether the mean accuracy lies strictly inside the bounds."""
        return low < sum(self.accuracy) / len(self.accuracy) < high

    def with_more(self, more: RolloutGroup) -> RolloutGroup:
        """The group with further rollouts of the same prompt."""
        columns = ["completions", "accuracy", "logprobs", "scores", "parents", "branch_at"]
        both = ((name, getattr(self, name), getattr(more, name)) for name in columns)
        return RolloutGroup(self.row, **{name: a and [*a, *b] for name, a, b in both})


class RewardFunction:
    """A reward function that grades once: what dynamic sampling has graded is not graded again."""

    __name__ = "accuracy"  # TRL logs it as rewards/accuracy

    def __init__(self, verifier: Callable[..., Sequence[float]]) -> None:
        self.verifier = verifier
        self.known: list[float] | None = None  # accuracies of the batch that comes next
        self.last: list[float] = []  # accuracies of the last batch of this process

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """Accuracies, 0 to 1.

        Raises:
            UserError: the verifier gave something else, or not one for each completion.
        """
        known, self.known = self.known, None
        if known is None:
            known = list(self.verifier(completions=completions, **columns))
        self.last = known
        if len(self.last) != len(completions):
            raise UserError(
                f"the verifier gave {len(self.last)} verdicts for {len(completions)} completions: "
                "it must give one for each"
            )
        for verdict, completion in zip(self.last, completions, strict=True):
            if verdict is None or not 0 <= verdict <= 1:
                raise UserError(
                    f"the verifier gave {verdict} for {completion!r:.200}: AEPO needs accuracies "
                    "from 0 to 1; repair the reward function or the answer column"
                )
        return self.last


class FreshPrompts:
    """A data set read from its start to its end and again; `position` counts rows ever taken."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.position = 0

    def take(self, count: int, process: int, processes: int) -> list[dict[str, Any]]:
        """The next `count` rows of this process; every process has to call this."""
        first = self.position + process * count
        self.position += count * processes
        return [self.dataset[(first + index) % len(self.dataset)] for index in range(count)]


def refill(
    groups: list[RolloutGroup],
    bounds: tuple[float, float],
    rounds: int,
    draw: Callable[[int], list[RolloutGroup]],
    most: Callable[[int], int] = lambda count: count,
) -> tuple[list[RolloutGroup], int]:
    """Replace uninformative groups in place; returns all groups and how many are new.

    `bounds` are those of the mean accuracy, `draw` samples that many fresh groups, and `most` is
    the largest of a count over processes.
    """
    groups, fresh = list(groups), 0
    for _ in range(rounds):
        holes = [index for index, group in enumerate(groups) if not group.informative(*bounds)]
        wanted = most(len(holes))
        if wanted == 0:
            break
        useful = [group for group in draw(wanted) if group.informative(*bounds)]
        for index, group in zip(holes, useful, strict=False):
            groups[index] = group
            fresh += 1
    return groups, fresh


def allotment(right_G: Sequence[int], probe: int, size: int) -> list[int]:
    """Further rollouts of every prompt, (size - probe) x prompts together.

    Args:
        right_G: right ones among the first `probe` rollouts.
        size: rollouts of a prompt where all get the same.

    >>> allotment([0, 1, 4, 4], probe=4, size=8)  # until the first has 2 x 8
    [12, 4, 0, 0]
    """
    more_G, left = [0] * len(right_G), (size - probe) * len(right_G)
    unsolved = [g for g, right in enumerate(right_G) if right == 0]
    mixed = [g for g, right in enumerate(right_G) if 0 < right < probe]
    room = (2 * size - probe) * len(unsolved)
    plan = [(unsolved, min(left, room))]
    plan.append((mixed or unsolved or list(range(len(right_G))), left - plan[0][1]))
    for prompts, number in plan:
        for turn in range(number):
            more_G[prompts[turn % len(prompts)]] += 1
    return more_G


def draw_groups(
    trainer: AEPOTrainer, inputs: list[dict[str, Any]]
) -> tuple[list[RolloutGroup], list[RolloutGroup], int]:
    """Draw a group to every G rows: as drawn first, as trained on, and how many are replaced."""
    size, accelerator = trainer.num_generations, trainer.accelerator
    process, fresh, sampled = accelerator.process_index, trainer.fresh, 0
    probe = trainer.settings.probe

    def sample(rows: list[dict[str, Any]], size: int) -> list[RolloutGroup]:
        nonlocal sampled
        key = trainer.args.seed, trainer.state.global_step, process, sampled
        sampled += len(rows)
        if trainer.sampler is None:
            groups = _groups_of_trl(trainer, rows, size)
        else:
            groups = trainer.sampler.groups(trainer, rows, key, size)
        _grade(trainer, groups)
        return groups

    first = sample(inputs[::size], probe or size)
    if probe:
        groups = list(first)
        more_G = allotment([group.accuracy.count(1) for group in first], probe, size)
        for number in sorted({*more_G} - {0}):
            chosen = [g for g, more in enumerate(more_G) if more == number]
            further = sample([first[g].row for g in chosen], number)
            for g, more in zip(chosen, further, strict=True):
                groups[g] = first[g].with_more(more)
        return first, groups, 0
    if not trainer.refill_rounds or fresh is None:
        return first, first, 0
    groups, refilled = refill(
        first,
        (trainer.settings.filter_low, trainer.settings.filter_high),
        trainer.refill_rounds,
        draw=lambda count: sample(fresh.take(count, process, accelerator.num_processes), size),
        most=lambda count: int(everywhere(accelerator, [count]).max()),
    )
    return first, groups, refilled


def _grade(trainer: AEPOTrainer, groups: Sequence[RolloutGroup]) -> None:
    """Fill in the accuracies."""
    completions = [ids for group in groups for ids in group.completions]
    texts = trainer.processing_class.batch_decode(completions, skip_special_tokens=True)
    rows = [group.row for group in groups for _ in group.completions]
    verdicts = trainer.grader(  # as TRL calls a reward function
        prompts=[row["prompt"] for row in rows],
        completions=[[{"role": "assistant", "content": text}] for text in texts],
        completion_ids=completions,
        trainer_state=trainer.state,
        **{key: [row[key] for row in rows] for key in rows[0] if key != "prompt"},
    )
    verdict = iter(verdicts)
    for group in groups:
        group.accuracy = list(islice(verdict, len(group.completions)))


def _groups_of_trl(
    trainer: AEPOTrainer, rows: Sequence[dict[str, Any]], size: int
) -> list[RolloutGroup]:
    """Groups from TRL's own generation, or vLLM."""
    repeated = [_with_images(row) for row in rows for _ in range(size)]
    _, completions, logprobs = generate_with_trl(trainer, repeated, size)
    return [
        RolloutGroup(
            row,
            completions[first : first + size],
            logprobs=None if logprobs is None else logprobs[first : first + size],
        )
        for row, first in zip(rows, range(0, len(completions), size), strict=True)
    ]


def generate_with_trl(
    trainer: AEPOTrainer, prompts: list[Any], size: int
) -> tuple[list[list[int]], list[list[int]], list[list[float]] | None]:
    """Prompt ids, completions and, of vLLM, log-probabilities from TRL's own generation."""
    ids, images, fields = trainer._tokenize_prompts(prompts)
    # TRL marks a prompt without pictures by None; beside prompts with pictures the processor
    # refuses that, and takes an empty list.
    images = None if images is None else [each or [] for each in images]
    return ids, *trainer._generate_single_turn(ids, images, fields, size)


@dataclass(frozen=True)
class EngineSampler:
    """The sampler of `ares.sampling.engine`, plain or branching, in the training process.

    It needs the whole, unsharded model: laptops, one GPU, data-parallel processes. Sharded models
    and vLLM sample through TRL. It samples with the weights and in the precision that are trained,
    so its log-probabilities and entropies are those of a scoring pass, which is left out.

    roots: rollouts of a group that start at the prompt when the preset branches; the others leave
    a root where its window entropy passes the threshold of the batch before. In the first batch
    there is none yet, and every rollout is a root.
    """

    roots: int = 1

    def groups(
        self, trainer: AEPOTrainer, rows: Sequence[dict[str, Any]], key: tuple[int, ...], size: int
    ) -> list[RolloutGroup]:
        """A group of `size` rollouts to each row, not graded yet.

        The same key gives the same rollouts from the same model.
        """
        settings = trainer.settings
        generate = partial(
            sample,
            trainer.accelerator.unwrap_model(trainer.model),
            eos_token_ids=trainer.eos_token_ids,
            temperature=trainer.temperature,
            top_p=trainer.top_p,
        )
        drawn = sample_groups(
            encoded(trainer, rows),
            generate,
            group_size=size,
            roots=self.roots if settings.branching else size,
            seeds=[row_seed(*key, index) for index in range(len(rows) * size)],
            max_new_tokens=trainer.max_completion_length,
            threshold=trainer.branch_threshold,
            window=settings.window,
            window_start=settings.window_start,
        )
        return [
            RolloutGroup(
                row,
                [sample.token_ids.tolist() for sample in tree.samples],
                scores=[(sample.logprobs, sample.entropies) for sample in tree.samples],
                parents=tree.parent,
                branch_at=tree.branch_at,
            )
            for row, tree in zip(rows, drawn, strict=True)
        ]


def encoded(trainer: AEPOTrainer, rows: Sequence[dict[str, Any]]) -> list[Prompt]:
    """The prompts of some rows, tokenised as TRL does."""
    ids, _, fields = trainer._tokenize_prompts([_with_images(row) for row in rows])
    ids_BT, mask_BT = pad_rows(ids, torch.long)
    inputs = {"input_ids": ids_BT, "attention_mask": mask_BT.long()}
    for name in ("pixel_values", "image_grid_thw"):
        if name in fields:
            inputs[name] = torch.as_tensor(fields[name])
    return split_prompts(inputs, trainer.model.config)


def _with_images(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The chat messages of a row with its pictures in them, as TRL makes them.

    Rows without a column of pictures are of a language model, whose template wants plain text.
    """
    if "images" not in row:
        return row["prompt"]
    return prepare_multimodal_messages(row["prompt"], images=row["images"] or [])


def tree_rows(groups: Sequence[RolloutGroup], texts: Sequence[str], first: int) -> list[dict]:
    """The trees of some groups, a row per rollout; `first` numbers the first prompt."""
    spelled = iter(texts)
    return [
        {
            "prompt_index": number,
            "rollout": rollout,
            "parent": group.parents[rollout],
            "branch_at": group.branch_at[rollout],
            "n_tokens": len(ids),
            "correct": group.accuracy[rollout] == 1,
            "text": next(spelled),
        }
        for number, group in enumerate(groups, first)
        for rollout, ids in enumerate(group.completions)
    ]
