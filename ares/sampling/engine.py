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

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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
    max_new_tokens: int,
    eos_token_ids: Sequence[int],
    pad_token_id: int,
    seeds: Sequence[int],
    temperature: float = 1.0,
    top_p: float = 1.0,
    samples_per_prompt: int = 1,
) -> list[Sample]:
    """Sample `samples_per_prompt` responses to every prompt.

    Args:
        model: on one device; put into eval mode meanwhile.
        pad_token_id: any id of the vocabulary but the picture placeholder; it is masked.
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
    check_room(model, max(len(prompt.token_ids) for prompt in prompts) + max_new_tokens)
    ends = frozenset(int(token) for token in eos_token_ids)
    barred = torch.tensor(placeholders(model.config), dtype=torch.long, device=model.device)
    with evaluating(model), torch.inference_mode():
        logits_BV, slots = _prefill(model, prompts, pad_token_id, max_new_tokens, seeds)
        for step in range(max_new_tokens):
            prob_BV, logprob_BV, entropy_B = distribution(logits_BV, temperature)
            check_finite(entropy_B, f"at new token {step + 1}")
            uniform_B = slots.uniforms[: slots.n, step]
            token_B = draw(prob_BV.index_fill_(1, barred, 0.0), top_p, uniform_B)
            logprob_B = logprob_BV.gather(1, token_B[:, None])[:, 0]
            ids = slots.record(step, token_B, logprob_B, entropy_B)
            slots.retire([slot for slot, token in enumerate(ids) if token in ends], step + 1)
            if slots.n == 0 or step + 1 == max_new_tokens:
                break
            logits_BV = _feed(model, slots, step)
        slots.retire(list(range(slots.n)), max_new_tokens)  # what is still active is cut
    # A tensor made in inference mode can't enter a loss; a copy made outside it can.
    responses = ([part.cpu().clone() for part in slots.done[row]] for row in range(len(seeds)))
    return [Sample(*parts, finished=int(parts[0][-1]) in ends) for parts in responses]


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
    pad_token_id: int,
    max_new_tokens: int,
    seeds: Sequence[int],
) -> tuple[Tensor, Slots]:
    """Read the prompts; return the logits (B, V) of the first new tokens and the rows' slots."""
    batch = pad_prompts(
        prompts, model.config, side="left", pad_token_id=pad_token_id, device=model.device
    )
    mask_BT = batch.pop("attention_mask").bool()
    position_ids = _positions(model, batch, mask_BT)
    batch.pop("mm_token_type_ids", None)
    copies, width = len(seeds) // len(prompts), mask_BT.shape[1] + max_new_tokens
    cache = KVCache(model.config.get_text_config().num_hidden_layers, len(seeds), width, copies)
    logits_BV = model(
        **batch,
        position_ids=position_ids,
        attention_mask=_prompt_mask(mask_BT, model.dtype),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    cache.length = mask_BT.shape[1]
    mask = None if mask_BT.all() else _decode_mask(mask_BT, width, model.dtype, copies)
    # The three position axes of M-RoPE agree again after the pictures.
    next_B = position_ids.reshape(-1, *mask_BT.shape).amax(dim=(0, 2)) + 1
    slots = Slots(cache, mask, next_B.repeat_interleave(copies), seeds, max_new_tokens)
    return logits_BV.repeat_interleave(copies, dim=0), slots


def _feed(model: PreTrainedModel, slots: Slots, step: int) -> Tensor:
    """Feed the tokens drawn at `step`; return the next logits (B, V)."""
    n, cache = slots.n, slots.cache
    logits_B1V = model(
        input_ids=slots.tokens[:n, step : step + 1],
        position_ids=slots.position[:n, None] + step,
        attention_mask=None if slots.mask is None else slots.mask[:n, :, :, : cache.length + 1],
        past_key_values=cache,
        use_cache=True,
    ).logits
    cache.length += 1
    return logits_B1V[:, -1]


def _positions(model: PreTrainedModel, batch: Mapping[str, Tensor], mask_BT: Tensor) -> Tensor:
    """Return the positions (B, T) of left-padded prompts; with pictures, M-RoPE's (3, B, T)."""
    if "image_grid_thw" in batch:
        return model.model.get_rope_index(
            batch["input_ids"],
            mm_token_type_ids=batch["mm_token_type_ids"],
            image_grid_thw=batch["image_grid_thw"],
            attention_mask=mask_BT,
        )[0]
    return (mask_BT.long().cumsum(-1) - 1).clamp(min=0)


def _prompt_mask(mask_BT: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the additive (B, 1, T, T) mask of the prompts: causal, blind to the padding."""
    width = mask_BT.shape[1]
    causal_TT = torch.ones(width, width, dtype=torch.bool, device=mask_BT.device).tril()
    # Padding sees itself: a row of the softmax without any key would be NaN.
    itself_TT = torch.eye(width, dtype=torch.bool, device=mask_BT.device)
    seen_BTT = (causal_TT & mask_BT[:, None, :]) | itself_TT
    zero_BTT = torch.zeros(seen_BTT.shape, dtype=dtype, device=mask_BT.device)
    return zero_BTT.masked_fill_(~seen_BTT, float("-inf"))[:, None]


def _decode_mask(mask_BT: Tensor, width: int, dtype: torch.dtype, copies: int) -> Tensor:
    """Return the additive (B, 1, 1, width) mask that hides the padding from new tokens."""
    mask = torch.zeros((mask_BT.shape[0], width), dtype=dtype, device=mask_BT.device)
    mask[:, : mask_BT.shape[1]].masked_fill_(~mask_BT, float("-inf"))
    return mask.repeat_interleave(copies, dim=0)[:, None, None]


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


def check_room(model: PreTrainedModel, n_tokens: int) -> None:
    """Raise UserError if a prompt and its response, `n_tokens`, exceed the model's context."""
    context = model.config.get_text_config().max_position_embeddings
    if n_tokens > context:
        raise UserError(
            f"the longest prompt with its response takes {n_tokens} tokens, the model's context "
            f"holds {context}: shorten the prompt or lower max_new_tokens"
        )


def check_finite(entropy_B: Tensor, where: str) -> None:
    """Raise UserError if logits were NaN or infinite: either makes the entropy so."""
    if not torch.isfinite(entropy_B).all():
        raise UserError(
            f"the model's logits are not finite {where}: its weights have diverged or the number "
            "type overflows; use an earlier checkpoint or float32"
        )
