"""Sample responses to problems and grade them: the table that every analysis starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ares.backends.base import Decoding, Response, open_backend
from ares.backends.store import CachedBackend, Store
from ares.config import ColdStart, Evaluation, RolloutsSettings, Scale
from ares.data.items import Item, Problems, row_seed
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.grades import UNGRADABLE, Grade
from ares.evaluation.run import Answered, answered
from ares.model.load import load, load_processor
from ares.model.processor import prompt_text, reads_pictures, tokenizer_of
from ares.sampling.engine import sample
from ares.sampling.prompts import Prompt, split_prompts


@dataclass(frozen=True)
class Sampling:
    """How rollouts are drawn; `batch_prompts` is how many prompts share a forward pass."""

    samples: int
    temperature: float
    top_p: float
    max_new_tokens: int
    batch_prompts: int
    seed: int


def sampling_of(scale: Scale, sizes: Evaluation | RolloutsSettings | None = None) -> Sampling:
    """How a scale samples rollouts; `sizes` of the evaluation keep their temperature and top-p."""
    drawn, sizes = scale.rollouts, sizes or scale.rollouts
    lengths = sizes.max_new_tokens, sizes.batch_prompts
    return Sampling(sizes.samples, drawn.temperature, drawn.top_p, *lengths, scale.seed)


def check_tokens(rollouts: pd.DataFrame, model, where: str) -> None:
    """Refuse rollouts with tokens that the model does not have.

    Raises:
        UserError: names the token.
    """
    size = model.config.get_text_config().vocab_size
    highest = rollouts["token_ids"].map(max).max()
    if highest >= size:
        raise UserError(
            f"{where}: a rollout holds token {highest}, and the model has {size}: it comes from "
            "another model, so sample again"
        )


def encode(items: Sequence[Item], model, processor) -> list[Prompt]:
    """The prompts of some items, ready to be sampled from or continued.

    Raises:
        UserError: an item has a picture and the model reads none.
    """
    texts = [prompt_text(item, processor) for item in items]
    pictures = [picture for item in items for picture in item.images]
    given: dict[str, Any] = {"padding": True, "return_tensors": "pt"}
    if reads_pictures(processor):
        given["images"] = pictures or None
    elif pictures:
        raise UserError("a problem has a picture, and the model reads none: leave it out")
    # The template has written the special tokens that a prompt starts with.
    batch = processor(text=texts, add_special_tokens=False, **given)
    return split_prompts(batch, model.config)


def evenly_spaced(total: int, count: int) -> list[int]:
    """`count` indices below `total`, evenly spaced and rising; all of them if there are fewer.

    >>> evenly_spaced(10, 3), evenly_spaced(2, 3)
    ([0, 4, 9], [0, 1])
    """
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def end_tokens(model) -> list[int]:
    """Ids that end a response, from the model's generation config."""
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list) else [ends]


def responses(
    scale: Scale,
    part: ColdStart | RolloutsSettings,
    problems: Problems,
    model: str,
    store: str | Path,
    progress: str = "",
) -> pd.DataFrame:
    """`part.samples` graded responses to every problem, from the back-end that the scale names.

    Args:
        model: folder or name on the hub, and for a server the name that it serves it under.
        store: file that keeps the answers of other back-ends than the package's own sampler.

    Returns:
        The table of `roll_out`. Other back-ends than the engine give neither entropy nor logprob,
        but ungradable (flag), and problems of which a request failed are left out; the index counts
        the responses that were asked for.

    Raises:
        UserError: the model can't be loaded or asked; its answers so far are kept.
    """
    if scale.backend.kind == "engine":
        policy, processor, _ = load(scale, model)
        # For pass rates those of an evaluation: its batches are about three times faster.
        batch = (part if isinstance(part, RolloutsSettings) else scale.evaluation).batch_prompts
        lengths = part.max_new_tokens, batch
        sampling = Sampling(part.samples, part.temperature, part.top_p, *lengths, scale.seed)
        return roll_out(policy, processor, problems, sampling, progress)
    chosen = part if isinstance(part, ColdStart) else scale.problems
    backend = open_backend(
        kind=scale.backend.kind,
        model=model,
        url=scale.backend.url or None,
        parallel=scale.backend.parallel or None,
        key_variable=scale.backend.key_variable,
        tensor_parallel=scale.backend.tensor_parallel,
        max_model_len=chosen.max_prompt_tokens + part.max_new_tokens,
    )
    tokenizer = tokenizer_of(load_processor(model))
    decoding = Decoding(part.max_new_tokens, part.temperature, part.top_p)
    with Grader() as grader, Store(store) as kept:
        given = CachedBackend(backend, kept), grader, decoding, part.samples, scale.seed, progress
        rows = [_answer_row(one, tokenizer) for one in answered(problems.items, *given)]
    whole_P = np.array(list(map(bool, rows))).reshape(-1, part.samples).all(1)
    kept = np.flatnonzero(whole_P.repeat(part.samples))
    if not whole_P.all():
        print(f"{(~whole_P).sum()} problems left out for requests that failed: run again")
    if not len(kept):
        raise UserError("a request of every problem failed; run again to ask for these only")
    table = pd.DataFrame([rows[place] for place in kept], index=kept)
    return problems.repeated(part.samples).join(table, how="right")


def _answer_row(done: Answered, tokenizer: Any) -> dict[str, Any]:
    """A response as a row; none if the request failed. A server gives no ids, so its text does."""
    said, grade = done.outcome, done.grade
    if not isinstance(said, Response) or grade is None:
        return {}
    finished, ids = said.finish == "stop", said.token_ids
    if ids is None:
        ids = tokenizer(said.full_text, add_special_tokens=False)["input_ids"]
        ids += [tokenizer.eos_token_id] * finished
    row = _row(done.sample, said.full_text, np.array(ids, np.int32), finished, grade)
    return row | {"ungradable": grade.status == UNGRADABLE}


def roll_out(
    model, processor, problems: Problems, sampling: Sampling, progress: str = ""
) -> pd.DataFrame:
    """`sampling.samples` graded responses to every problem, one row each.

    Every response draws from a generator seeded by its problem, where that comes from, and its
    index, so that a problem's rollouts do not depend on which others are asked.

    Columns: those of the problems' table, then sample, text, token_ids, entropy (nats per token,
    full vocabulary at the sampling temperature), logprob, n_tokens (end token included), finished
    (False: cut at the limit), correct, verdict (the reason in words).
    """
    rows: list[dict] = []
    number, tokenizer = len(problems) * sampling.samples, tokenizer_of(processor)
    bar = tqdm(total=number, desc=progress, unit="rollout", disable=not progress, mininterval=5)
    with Grader() as grader, bar:
        for start in range(0, len(problems), sampling.batch_prompts):
            items = problems.items[start : start + sampling.batch_prompts]
            drawn = sample(
                model,
                encode(items, model, processor),
                max_new_tokens=sampling.max_new_tokens,
                eos_token_ids=end_tokens(model),
                seeds=[
                    row_seed(sampling.seed, item.id, item.benchmark, index)
                    for item in items
                    for index in range(sampling.samples)
                ],
                temperature=sampling.temperature,
                top_p=sampling.top_p,
            )
            texts = tokenizer.batch_decode([s.token_ids for s in drawn], skip_special_tokens=True)
            asked = [item.question for item in items for _ in range(sampling.samples)]
            grades = grader.grade_many(zip(texts, asked, strict=True))
            for index, (said, text, grade) in enumerate(zip(drawn, texts, grades, strict=True)):
                ids = said.token_ids.to(torch.int32).numpy()
                read = {"entropy": said.entropies.numpy(), "logprob": said.logprobs.numpy()}
                place = index % sampling.samples
                rows.append(_row(place, text, ids, said.finished, grade, **read))
            bar.update(len(drawn))
    return pd.concat([problems.repeated(sampling.samples), pd.DataFrame(rows)], axis=1)


def _row(
    sample: int, text: str, ids: np.ndarray, finished: bool, grade: Grade, **read: np.ndarray
) -> dict[str, Any]:
    verdict = "correct" if grade.correct else grade.note or grade.status
    return {
        "sample": sample,
        "text": text,
        "token_ids": ids,
        **read,
        "n_tokens": len(ids),
        "finished": finished,
        "correct": grade.correct,
        "verdict": verdict if finished else f"cut: {verdict}",
    }
