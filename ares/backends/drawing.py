"""How `model.generate` draws here: every row for itself, and with its entropies.

transformers samples a batch from one generator, so what a row draws depends on its neighbours, and
it keeps either no scores or all (T, V) of them. A logits processor sees every step's raw logits, so
it can draw, as `ares.sampling.engine` does, and record; `generate` is left to take the one token
that is not ruled out (`do_sample=False`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from ares.backends.base import Decoding
from ares.method.entropy import distribution
from ares.sampling.engine import draw


@dataclass(frozen=True, eq=False)
class Record:
    """What was drawn in T steps by B rows, on the CPU.

    logprob_BT, top_logprob_BTK: nats, of softmax(logits), nothing scaled or truncated.
    entropy_BT: nats, of softmax(logits / temperature) over the whole vocabulary (eq. 3).
    top_id_BTK: the most probable tokens, best first.
    """

    token_BT: Tensor
    logprob_BT: Tensor
    entropy_BT: Tensor
    top_id_BTK: Tensor
    top_logprob_BTK: Tensor


class Draw(LogitsProcessor):
    """Draws one token per row and step, and keeps its log-probability, entropy and rivals.

    Args:
        decoding: of all rows. At temperature 0 the most probable token is taken, and the entropy
            is that at temperature 1: at 0 there is none.
        seeds: one per row.
        barred: ids that are never drawn: the placeholders of pictures. A response that holds one
            could be neither scored nor trained on, for no picture belongs to it.
    """

    def __init__(
        self,
        decoding: Decoding,
        seeds: Sequence[int],
        barred: Sequence[int],
        device: torch.device,
    ) -> None:
        self.decoding = decoding
        generators = [np.random.Generator(np.random.Philox(key=seed)) for seed in seeds]
        uniforms = np.stack([generator.random(decoding.max_tokens) for generator in generators])
        self.uniform_BT = torch.from_numpy(uniforms).to(device)
        self.barred = torch.tensor(barred, dtype=torch.long, device=device)
        self.steps: list[tuple[Tensor, ...]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) that leave only the drawn tokens."""
        temperature, step = self.decoding.temperature or 1.0, len(self.steps)
        prob_BV, logprob_BV, entropy_B = distribution(scores, temperature)
        if self.decoding.temperature == 0:
            token_B = scores.index_fill(1, self.barred, -torch.inf).argmax(-1)
        else:
            prob_BV = prob_BV.index_fill(1, self.barred, 0.0)
            if 0 < self.decoding.top_k < prob_BV.shape[1]:
                prob_BV = _truncated(prob_BV, self.decoding.top_k)
            token_B = draw(prob_BV, self.decoding.top_p, self.uniform_BT[:, step])
        raw_BV = logprob_BV if temperature == 1 else torch.log_softmax(scores.float(), dim=-1)
        top = raw_BV.topk(min(self.decoding.top_logprobs, raw_BV.shape[1]), dim=-1)
        logprob_B = raw_BV.gather(1, token_B[:, None])[:, 0]
        self.steps.append((token_B, logprob_B, entropy_B, top.indices, top.values))
        return torch.full_like(scores, -torch.inf).scatter(1, token_B[:, None], 0.0)

    def record(self) -> Record:
        """All steps so far."""
        columns = zip(*self.steps, strict=True)
        return Record(*(torch.stack(column, dim=1).cpu() for column in columns))


def _truncated(prob_BV: Tensor, top_k: int) -> Tensor:
    """The k most probable tokens of every row, renormalised; among equals the lower ids."""
    order_BV = prob_BV.sort(dim=-1, descending=True, stable=True).indices
    kept_BV = torch.zeros_like(prob_BV).scatter(1, order_BV[:, :top_k], 1.0) * prob_BV
    return kept_BV / kept_BV.sum(-1, keepdim=True)


class StopTexts(StoppingCriteria):
    """Ends a row when one of some texts has appeared in its response.

    ended: row -> tokens of its response up to and with the one that completed the text.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Any, width: int) -> None:
        self.texts, self.tokenizer, self.width = texts, tokenizer, width
        # A token is a byte at least, and some hold no text at all.
        self.tail = max(len(text.encode()) for text in texts) + 8
        self.ended: dict[int, int] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor, **others: Any) -> Tensor:
        """Which rows (B,) have ended."""
        tail_BT = input_ids[:, max(self.width, input_ids.shape[1] - self.tail) :]
        for row, text in enumerate(self.tokenizer.batch_decode(tail_BT, skip_special_tokens=True)):
            if row not in self.ended and any(stop in text for stop in self.texts):
                self.ended[row] = input_ids.shape[1] - self.width
        done = [row in self.ended for row in range(len(input_ids))]
        return torch.tensor(done, device=input_ids.device)
