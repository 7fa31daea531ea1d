"""Prompts apart from their batch: unpadded token ids, each with its own pictures.

A processor returns one batch: ids padded to a common length, and the patches of all pictures in
one long tensor. The sampler wants left padding, the scorer right padding, a branch wants a subset
of the rows with a few tokens appended. All of that is easy with lists of single prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from ares.errors import UserError


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt.

    token_ids: (T,) int64, no padding, one placeholder id per visual token.
    pixel_values: (n_patches, patch_size_flat), the patches of this prompt's pictures; or None.
    image_grid_thw: (n_images, 3) int64, each picture's grid in patches; or None.
    """

    token_ids: Tensor
    pixel_values: Tensor | None = None
    image_grid_thw: Tensor | None = None

    def followed_by(self, token_ids: Sequence[int] | Tensor) -> Prompt:
        """Return the prompt with text tokens appended, for instance the start of a response."""
        suffix = torch.as_tensor(token_ids, dtype=torch.long, device=self.token_ids.device)
        joined = torch.cat([self.token_ids, suffix])
        return Prompt(joined, self.pixel_values, self.image_grid_thw)


def split_prompts(inputs: Mapping, config: PreTrainedConfig) -> list[Prompt]:
    """Take a processor's batch apart into prompts.

    Args:
        inputs: `input_ids` (B, T), optional `attention_mask` (B, T) with zeros on the padding, at
            either side, and optional `pixel_values` and `image_grid_thw`, the pictures of all rows
            one after the other. Arrays are accepted in place of tensors.
        config: the model's.

    Raises:
        UserError: a row without tokens, videos, or pictures that do not fit the placeholders.
    """
    if inputs.get("pixel_values_videos") is not None:
        raise UserError("the sampler reads pictures, not videos: remove pixel_values_videos")
    ids_BT = torch.as_tensor(inputs["input_ids"])
    mask_BT = inputs.get("attention_mask")
    mask_BT = torch.ones_like(ids_BT) if mask_BT is None else torch.as_tensor(mask_BT)
    rows = [ids[mask.bool()] for ids, mask in zip(ids_BT, mask_BT, strict=True)]
    if not rows or any(len(row) == 0 for row in rows):
        raise UserError("a prompt is empty: every row of input_ids needs at least one token")
    if inputs.get("pixel_values") is None:
        pictures = [(None, None)] * len(rows)
    else:
        n_visual = [int((row == config.image_token_id).sum()) for row in rows]
        pictures = _deal_pictures(n_visual, inputs, config.vision_config.spatial_merge_size**2)
    return [Prompt(row, *picture) for row, picture in zip(rows, pictures, strict=True)]


def _deal_pictures(n_visual: list[int], inputs: Mapping, patches_per_token: int) -> list[tuple]:
    """Hand each row the pictures that fill its `n_visual` placeholders, in order."""
    patches = torch.as_tensor(inputs["pixel_values"])
    grids = torch.as_tensor(inputs["image_grid_thw"])
    before = [0, *grids.prod(-1).cumsum(0).tolist()]  # patches before each picture, and in all
    dealt, image = [], 0
    for wanted in n_visual:
        patch = before[image] + wanted * patches_per_token
        if patch not in before:
            break
        own, image = slice(image, before.index(patch)), before.index(patch)
        here = patches[before[own.start] : patch], grids[own]
        dealt.append(here if wanted else (None, None))
    if len(dealt) < len(n_visual) or image < len(grids):
        raise UserError(
            f"{n_visual} picture placeholders in the rows do not match the pictures given: make "
            "input_ids and pixel_values with the same processor call"
        )
    return dealt


def placeholders(config: PreTrainedConfig) -> list[int]:
    """Ids that stand for pictures and videos in a model's prompts; none in a language model's."""
    values = config.to_dict()
    return [values[name] for name in ("image_token_id", "video_token_id") if name in values]


def pad_prompts(
    prompts: Sequence[Prompt], model: PreTrainedModel, side: Literal["left", "right"]
) -> dict[str, Tensor]:
    """Join prompts into the keyword arguments of a model's forward pass.

    Returns `input_ids` and `attention_mask` (B, T), padded on one side to the longest prompt, and,
    if there are pictures, `mm_token_type_ids` (B, T; 1 on visual tokens), `pixel_values` and
    `image_grid_thw`. The padding is token 0, which the mask hides.
    """
    width = max(len(prompt.token_ids) for prompt in prompts)
    ids_BT = torch.zeros((len(prompts), width), dtype=torch.long)
    mask_BT = torch.zeros_like(ids_BT)
    for row, prompt in enumerate(prompts):
        length = len(prompt.token_ids)
        span = slice(width - length, width) if side == "left" else slice(length)
        ids_BT[row, span] = prompt.token_ids.cpu()
        mask_BT[row, span] = 1
    batch = {"input_ids": ids_BT, "attention_mask": mask_BT}
    seen = [prompt for prompt in prompts if prompt.pixel_values is not None]
    if seen:
        is_picture_BT = (ids_BT == model.config.image_token_id) & mask_BT.bool()
        batch["mm_token_type_ids"] = is_picture_BT.int()
        batch["pixel_values"] = torch.cat([prompt.pixel_values for prompt in seen])
        batch["image_grid_thw"] = torch.cat([prompt.image_grid_thw for prompt in seen])
    return {name: tensor.to(model.device) for name, tensor in batch.items()}
