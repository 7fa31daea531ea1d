"""Where rows live while they are sampled: slots of a KV cache that is allocated once.

Rows 0 .. n-1 are active. When rows finish, the last active ones move into the slots that fell
free, cache and all, so every step works on the plain slice `[:n]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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
    """Everything about a row but its cache: what it drew, and what it needs for the next step.

    mask: (N, 1, 1, width) additive mask that hides the padding of the prompts; None without any.
    position: (N,) rotary position of the first new token.
    uniforms: (N, T) float64, the numbers in [0, 1) that decide the draws.
    tokens, logprobs, entropies: (N, T), what was drawn.
    """

    def __init__(
        self,
        cache: KVCache,
        mask: Tensor | None,
        position: Tensor,
        seeds: Sequence[int],
        max_new_tokens: int,
    ):
        self.cache, self.mask, self.position = cache, mask, position
        self.n = len(seeds)
        self.rows = list(range(self.n))  # the row in every slot
        self.done: dict[int, tuple[Tensor, ...]] = {}
        generators = [np.random.Generator(np.random.Philox(key=int(seed))) for seed in seeds]
        draws = np.stack([generator.random(max_new_tokens) for generator in generators])
        self.uniforms = torch.from_numpy(draws).to(position.device)
        shape = (self.n, max_new_tokens)
        self.tokens = torch.zeros(shape, dtype=torch.long, device=position.device)
        self.logprobs = torch.zeros(shape, device=position.device)
        self.entropies = torch.zeros(shape, device=position.device)

    def record(self, step: int, token_B: Tensor, logprob_B: Tensor, entropy_B: Tensor) -> list[int]:
        """Note the draws of this step; return the tokens as integers."""
        self.tokens[: self.n, step] = token_B
        self.logprobs[: self.n, step] = logprob_B
        self.entropies[: self.n, step] = entropy_B
        return token_B.tolist()

    def retire(self, finished: list[int], length: int) -> None:
        """Take out the slots `finished` (ascending), whose responses are `length` tokens long."""
        if not finished:
            return
        for slot in finished:
            per_token = (self.tokens, self.logprobs, self.entropies)
            self.done[self.rows[slot]] = tuple(t[slot, :length].clone() for t in per_token)
        n_left, gone = self.n - len(finished), set(finished)
        holes = [slot for slot in finished if slot < n_left]
        movers = [slot for slot in range(n_left, self.n) if slot not in gone]
        if holes:
            self._move(movers, holes)
        self.n = n_left

    def _move(self, sources: list[int], targets: list[int]) -> None:
        for source, target in zip(sources, targets, strict=True):
            self.rows[target] = self.rows[source]
        self.cache.move(sources, targets)
        tensors = [self.position, self.uniforms, self.tokens, self.logprobs, self.entropies]
        for tensor in tensors if self.mask is None else [self.mask, *tensors]:
            tensor[targets] = tensor[sources]
