"""Draw responses from a language model, with the entropy and log-probability of every token.

Any causal model of transformers with a KV cache and full attention will do, with pictures a
Qwen2.5-VL. Prompts and new tokens go through the model's own forward pass. What differs from
`generate`:

1. The KV cache is allocated once; finished rows leave it at once. Rows live in slots, and the
   last active slot moves into the one that fell free, so a step costs what its active rows cost.
2. Masks are made once per call, not once per step.
3. Every row draws from its own counter-based generator by inverting the distribution function,
   so its draws depend on its seed alone: not on the batch, nor on when other rows finish.
4. A prompt that is sampled n times is read once.
5. Entropies and log-probabilities belong to the temperature-scaled softmax over the whole
   vocabulary (the paper's eq. 3), also when top-p truncates what is drawn.
6. The placeholders of pictures and videos are never drawn: a response that contains one could be
   neither scored nor trained on, for no picture belongs to it. Their (tiny) probability still
   counts in point 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ares.errors import UserError
from ares.method.entropy import distribution
from ares.sampling.prompts import Prompt, pad_prompts, placeholders
from ares.sampling.slots import KVCache, Slots


@dataclass(frozen=True, eq=False)
class Sample:
    """One response, T tokens long, on the CPU.

    token_ids: (T,) int64, with the end token if there is one.
    logprobs, entropies: (T,) float32, nats, of the full temperature-scaled distribution.
    finished: True if the response ends with an end token, False if it was cut.
    """

    token_ids: Tensor
    logprobs: Tensor
    entropies: Tensor
    finished: bool


def sample(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int | Sequence[int],
    eos_token_ids: Sequence[int],
    seeds: Sequence[int],
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> list[Sample]:
    """Sample len(seeds) / len(prompts) responses to every prompt.

    Args:
        model: on one device; put into eval mode meanwhile.
        max_new_tokens: of every response, or one limit for the responses to each prompt.
        seeds: one non-negative integer per response. The same call gives the same bits on a CPU.
        temperature: divides the logits, also those that give the entropies.
        top_p: draw from the smallest set of most probable tokens that has this probability;
            close to 0: the most probable token.

    Returns:
        The responses, those to one prompt side by side.

    Raises:
        UserError: a prompt that leaves no room in the model's context, a model kind that is not
            supported, or logits that are not finite.
    """
    _check_model(model)
    if not prompts:
        return []
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else max_new_tokens
    check_room(model, [len(p.token_ids) + most for p, most in zip(prompts, limits, strict=True)])
    steps, copies, device = max(limits), len(seeds) // len(prompts), model.device
    ends = frozenset(int(token) for token in eos_token_ids)
    barred = torch.tensor(placeholders(model.config), dtype=torch.long, device=device)
    generators = [np.random.Generator(np.random.Philox(key=int(seed))) for seed in seeds]
    draws = np.stack([generator.random(steps) for generator in generators])
    uniform_RT = torch.from_numpy(draws).to(device)
    token_RT = torch.zeros(uniform_RT.shape, dtype=torch.long, device=device)
    logprob_RT, entropy_RT = torch.zeros((2, *uniform_RT.shape), device=device)
    length = [steps] * len(seeds)
    with evaluating(model), torch.inference_mode():
        logits_BV, slots = _prefill(model, prompts, steps, copies)
        for step in range(steps):
            prob_BV, logprob_BV, entropy_B = distribution(logits_BV, temperature)
            check_finite(entropy_B, f"at new token {step + 1}")
            row_B = slots.row[: slots.n]
            token_B = draw(prob_BV.index_fill_(1, barred, 0.0), top_p, uniform_RT[row_B, step])
            token_RT[row_B, step] = token_B
            logprob_RT[row_B, step] = logprob_BV.gather(1, token_B[:, None])[:, 0]
            entropy_RT[row_B, step] = entropy_B
            ended = [slot for slot, token in enumerate(token_B.tolist()) if token in ends]
            for row in row_B[ended].tolist():
                length[row] = step + 1
            slots.free(ended)
            if slots.n == 0 or step + 1 == steps:
                break
            logits_BV = _feed(model, slots, token_RT[slots.row[: slots.n], step, None], step)
    responses = []
    for row, drawn in enumerate(length):
        cut = min(drawn, limits[row // copies])
        read = [
            tensor_RT[row, :cut].cpu().clone() for tensor_RT in (token_RT, logprob_RT, entropy_RT)
        ]
        responses.append(Sample(*read, finished=int(read[0][-1]) in ends))
    return responses


def draw(prob_BV: Tensor, top_p: float, uniform_B: Tensor) -> Tensor:
    """Invert the distribution function at `uniform_B`, in [0, 1); returns token ids (B,).

    The probabilities need not sum to one.
    """
    if top_p < 1.0:
        sorted_BV, order_BV = prob_BV.sort(-1, descending=True)
        outside_BV = sorted_BV.cumsum(-1) - sorted_BV >= top_p
        prob_BV = prob_BV.masked_fill(outside_BV.scatter(1, order_BV, outside_BV), 0.0)
    # float64: over 150 000 tokens a float32 sum would misplace the boundaries visibly.
    cdf_BV = prob_BV.cumsum(-1, dtype=torch.float64)
    point_B1 = (uniform_B * cdf_BV[:, -1])[:, None]
    return torch.searchsorted(cdf_BV, point_B1, right=True)[:, 0].clamp_(max=prob_BV.shape[1] - 1)


def _prefill(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    steps: int,
    copies: int,
) -> tuple[Tensor, Slots]:
    """Read the prompts; return the logits (B, V) of the first new tokens and the rows' slots."""
    batch = pad_prompts(prompts, model, side="left")
    mask_BT = batch.pop("attention_mask").bool()
    kinds_BT = batch.pop("mm_token_type_ids", None)
    position_ids = (mask_BT.long().cumsum(-1) - 1).clamp(min=0)
    if kinds_BT is not None:  # with pictures, M-RoPE's positions (3, B, T)
        named = {"image_grid_thw": batch["image_grid_thw"], "attention_mask": mask_BT}
        rope = model.model.get_rope_index
        position_ids, _ = rope(batch["input_ids"], mm_token_type_ids=kinds_BT, **named)
    width = mask_BT.shape[1]
    causal_TT = torch.ones(width, width, dtype=torch.bool, device=model.device).tril()
    # Padding sees itself: a row of the softmax without any key would be NaN.
    seen_BTT = (causal_TT & mask_BT[:, None]) | causal_TT.triu()
    n_layers = model.config.get_text_config().num_hidden_layers
    cache = KVCache(n_layers, len(prompts) * copies, width + steps, copies)
    logits_BV = model(
        **batch,
        position_ids=position_ids,
        attention_mask=_additive(seen_BTT[:, None], model.dtype),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    cache.length = width
    # New tokens see one another and the prompt, but not its padding.
    later_BT = torch.nn.functional.pad(mask_BT, (0, steps), value=True)
    later_NT = later_BT.repeat_interleave(copies, dim=0)[:, None, None]
    mask = None if mask_BT.all() else _additive(later_NT, model.dtype)
    # The three position axes of M-RoPE agree again after the pictures.
    next_B = position_ids.reshape(-1, *mask_BT.shape).amax(dim=(0, 2)) + 1
    slots = Slots(cache, mask, next_B.repeat_interleave(copies))
    return logits_BV.repeat_interleave(copies, dim=0), slots


def _feed(model: PreTrainedModel, slots: Slots, token_B1: Tensor, step: int) -> Tensor:
    """Feed the tokens drawn at `step`; return the next logits (B, V)."""
    n, cache = slots.n, slots.cache
    logits_B1V = model(
        input_ids=token_B1,
        position_ids=slots.position[:n, None] + step,
        attention_mask=None if slots.mask is None else slots.mask[:n, :, :, : cache.length + 1],
        past_key_values=cache,
        use_cache=True,
    ).logits
    cache.length += 1
    return logits_B1V[:, -1]


def _additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """An attention mask: 0 where a key is seen, else minus infinity."""
    zero = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return zero.masked_fill_(~seen, float("-inf"))


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Turn dropout (and gradient checkpointing, which drops the cache) off for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _check_model(model: PreTrainedModel) -> None:
    config = model.config.get_text_config()
    if config._attn_implementation not in ("sdpa", "eager"):
        raise UserError(
            f"the sampler needs attn_implementation sdpa or eager, not "
            f"{config._attn_implementation}: load the model with attn_implementation='sdpa'"
        )
    values = config.to_dict()
    kinds = set(values.get("layer_types") or ())
    if kinds - {"full_attention"} or (values.get("sliding_window") and not kinds):
        raise UserError("the sampler does full attention only, and this model has other layers")
    if (values.get("rope_parameters") or {}).get("rope_type") in ("dynamic", "longrope"):
        raise UserError("the sampler needs rotary angles that do not depend on the length so far")


def check_room(model: PreTrainedModel, lengths: Sequence[int]) -> None:
    """Raise UserError if a prompt with its response exceeds the model's context, in tokens."""
    context = model.config.get_text_config().max_position_embeddings
    if max(lengths) > context:
        raise UserError(
            f"the longest prompt with its response takes {max(lengths)} tokens, the model's "
            f"context holds {context}: shorten the prompt or lower max_new_tokens"
        )


def check_finite(entropy_B: Tensor, where: str) -> None:
    """Raise UserError if logits were NaN or infinite: either makes the entropy so."""
    if not torch.isfinite(entropy_B).all():
        raise UserError(
            f"the model's logits are not finite {where}: its weights have diverged or the number "
            "type overflows; use an earlier checkpoint or float32"
        )
