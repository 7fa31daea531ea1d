"""Forward passes over parts of a batch: without padding that no row needs, and pictures kept apart.

TRL 1.16 pads every response to the longest of a batch of rollouts, and hands a part without
pictures an empty tensor of pixels, which Qwen2.5-VL refuses. Here rows of similar length share a
pass, a pass is as wide as its own longest row, and a pass without pictures has no picture fields.

DistributedDataParallel wants one forward call per backward: with several, a weight that the last of
them did not use (those of the vision tower, after a pass without pictures) counts as finished too
early. `allow_many_passes` lets one call hold them all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ares.errors import UserError

#: What TRL's scoring function takes from a batch, beside ids and masks.
FORWARD = (
    *("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes"),
    *("num_tiles", "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids"),
)
#: Fields with one row per sequence and one column per token.
_PER_TOKEN = ("mm_token_type_ids", "token_type_ids")
_PER_PICTURE = ("num_images", "image_grid_thw", "pixel_values")


def sequences(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Ids and attention mask of prompts followed by responses, (B, P + T)."""
    ids_BT = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    return ids_BT, torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)


def passes_of(mask_BT: Tensor, tokens: int | None, rows: int | None = None) -> list[list[int]]:
    """Rows of every pass: `rows` at a time, as TRL does, or by length where `tokens` is given.

    Then the longest come first, and rows x width are at most `tokens` (one row may exceed it).

    >>> mask_BT = torch.tensor([[1, 0, 0], [1, 1, 1], [1, 1, 0]])
    >>> passes_of(mask_BT, tokens=4), passes_of(mask_BT, None, rows=2)
    ([[1], [2, 0]], [[0, 1], [2]])
    """
    length_B = mask_BT.sum(1).tolist()
    order, parts = list(range(len(length_B))), []
    if tokens is None:
        size = rows or len(order)
        return [order[start : start + size] for start in range(0, len(order), size)]
    for row in sorted(order, key=lambda row: -length_B[row]):
        if parts and (len(parts[-1]) + 1) * length_B[parts[-1][0]] <= tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def columns(mask_BT: Tensor, completion: int) -> slice:
    """The columns that some row needs; prompts are padded at the left, responses at the right."""
    used = mask_BT.any(0).nonzero()[:, 0].tolist()
    prompt = mask_BT.shape[1] - completion
    first = min(used[0], prompt) if used else prompt
    return slice(first, max(used[-1] + 1 if used else 0, prompt + 1))


def fields_of(fields: dict[str, Any], rows: list[int], span: slice) -> dict[str, Any]:
    """The fields of some rows and columns, without those that are None or would be empty.

    `fields` are num_images (pictures per row), pixel_values (patches of all pictures),
    image_grid_thw (a row per picture), and fields per token.

    Raises:
        UserError: fields of another kind of model, which can't be dealt out to rows.
    """
    known = (*_PER_TOKEN, *_PER_PICTURE)
    foreign = [name for name in fields if name not in known and torch.is_tensor(fields[name])]
    if foreign:
        raise UserError(
            f"{', '.join(foreign)}: only the picture fields of Qwen-VL can be split into passes; "
            "set tokens_per_pass=None and do not mix prompts with and without pictures"
        )
    part = {
        name: fields[name][rows][:, span] for name in _PER_TOKEN if fields.get(name) is not None
    }
    num_images = fields.get("num_images")
    if num_images is None or not sum(num_images[row] for row in rows):
        return part
    grid, pixels = fields["image_grid_thw"], fields["pixel_values"]
    image_at = torch.tensor([0, *num_images]).cumsum(0).tolist()
    patch_at = torch.cat([grid.new_zeros(1), grid.prod(-1).cumsum(0)]).tolist()
    images = [slice(image_at[row], image_at[row + 1]) for row in rows]
    part["num_images"] = [num_images[row] for row in rows]
    part["image_grid_thw"] = torch.cat([grid[own] for own in images])
    part["pixel_values"] = torch.cat(
        [pixels[patch_at[own.start] : patch_at[own.stop]] for own in images]
    )
    return part


def joined(parts: list[Tensor], rows: list[list[int]], width: int) -> Tensor:
    """Per-token values of all passes, (B, width), in the order of the batch; 0 elsewhere."""
    padded = [torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts]
    order = torch.tensor([row for part in rows for row in part], device=parts[0].device)
    return torch.cat(padded)[order.argsort()]


def in_passes(
    forward: Callable[..., tuple[Tensor | None, ...]],
    ids_BT: Tensor,
    mask_BT: Tensor,
    completion: int,
    fields: dict[str, Any],
    parts: list[list[int]],
) -> tuple[Tensor | None, ...]:
    """What `forward` gives for the responses of a batch, pass by pass, joined again.

    Args:
        forward: takes ids, mask, the number of columns of the responses, and picture fields; gives
            values per token of the response, None for what it does not compute.
        completion: columns of the responses.
        parts: rows of each pass.
    """
    results = []
    for own in parts:
        span = columns(mask_BT[own], completion)
        kept = span.stop - (ids_BT.shape[1] - completion)
        inputs = fields_of(fields, own, span)
        results.append(forward(ids_BT[own][:, span], mask_BT[own][:, span], kept, **inputs))
    return tuple(
        None if values[0] is None else joined(list(values), parts, completion)
        for values in zip(*results, strict=True)
    )


def allow_many_passes(model: Any) -> None:
    """Make `model(passes=work)` return `work(forward)`, with the model's plain forward."""
    plain = model.forward

    @wraps(plain)
    def forward(*args: Any, passes: Callable | None = None, **inputs: Any) -> Any:
        return plain(*args, **inputs) if passes is None else passes(plain)

    model.forward = forward


@torch.no_grad()
def most_probable(model: Any, batch: dict[str, Any], parts: list[list[int]]) -> Tensor:
    """The model's most probable token at every position of the responses, (B, T)."""

    def best(ids_BT: Tensor, mask_BT: Tensor, kept: int, **fields: Any) -> tuple[Tensor]:
        fields.pop("num_images", None)
        inputs = {"input_ids": ids_BT, "attention_mask": mask_BT, **fields}
        return (model(**inputs, logits_to_keep=kept + 1).logits[:, :-1].argmax(-1),)

    fields = {name: batch[name] for name in FORWARD if name in batch}
    width = batch["completion_ids"].shape[1]
    (best_BT,) = in_passes(best, *sequences(batch), width, fields, parts)
    return best_BT
