"""Where rows live while they are sampled: slots of a KV cache that is allocated once.

Rows 0 .. n-1 are active. When rows finish, the last active ones move into the slots that fell
free, cache and all, so every step works on the plain slice `[:n]`.
"""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """Keys and values of every layer, slot and position, in one block allocated once.

    It stands in for transformers' `Cache`, of which models call no more than this.
    """

    def __init__(self, n_layers: int, n_rows: int, width: int, samples_per_prompt: int) -> None:
        self._shape = n_layers, 2, n_rows, width
        self.block = torch.empty(0)
        self.samples_per_prompt = samples_per_prompt
        self.length = 0  # positions that hold a token in every layer

    def get_seq_length(self, layer: int = 0) -> int:
        """Positions that hold a token, under the name that models ask for."""
        return self.length

    def get_query_offset(self, layer: int = 0) -> int:
        """The position in the cache of the tokens that come next."""
        return self.length

    def get_mask_sizes(self, n_tokens: int, layer: int = 0) -> tuple[int, int]:
        """How many positions `n_tokens` new tokens may attend, from which one on."""
        return self.length + n_tokens, 0

    def update(self, key: Tensor, value: Tensor, layer: int, *_) -> tuple[Tensor, Tensor]:
        """Append the new (B, heads, T, head_dim) of one layer; return all that it may attend."""
        if self.block.numel() == 0:  # the first layer's keys tell heads, size and number type
            n_layers, two, n_rows, width = self._shape
            _, heads, _, size = key.shape
            self.block = key.new_empty((n_layers, two, n_rows, heads, width, size))
        keys, values = self.block[layer]
        if self.length == 0:
            # The prompts: they attend to themselves, and their copies go to every sample's slot.
            width = key.shape[2]
            keys[:, :, :width] = key.repeat_interleave(self.samples_per_prompt, dim=0)
            values[:, :, :width] = value.repeat_interleave(self.samples_per_prompt, dim=0)
            return key, value
        n, stop = key.shape[0], self.length + 1
        keys[:n, :, self.length : stop] = key
        values[:n, :, self.length : stop] = value
        return keys[:n, :, :stop], values[:n, :, :stop]

    def move(self, sources: list[int], targets: list[int]) -> None:
        """Copy the slots `sources` over the slots `targets`."""
        past = self.block[..., : self.length, :]
        past[:, :, targets] = past[:, :, sources]


class Slots:
    """What the next step needs of every row: its cache, the mask of its padding, its position.

    row: (N,), the row in every slot, of which the first `n` are active.
    mask: (N, 1, 1, width), additive; None where no prompt is padded.
    position: (N,), of the first new token.
    """

    def __init__(self, cache: KVCache, mask: Tensor | None, position: Tensor) -> None:
        self.cache, self.mask, self.position = cache, mask, position
        self.n = len(position)
        self.row = torch.arange(self.n, device=position.device)

    def free(self, slots: list[int]) -> None:
        """Free some slots (ascending); the last active rows move into the gaps."""
        self.n -= len(slots)
        gaps = [slot for slot in slots if slot < self.n]
        movers = sorted(set(range(self.n, self.n + len(slots))) - set(slots))
        if gaps:
            self.cache.move(movers, gaps)
            for tensor in (self.row, self.position, self.mask):
                if tensor is not None:
                    tensor[gaps] = tensor[movers]
