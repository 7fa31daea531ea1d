"""Work that runs ahead of the training step, in other processes.

A GPU trains on a batch in less time than one core takes to think of it. What a batch holds depends
on its index alone, so who makes it, and when, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset


class _Lookup(Dataset):
    """A function of an index, as a data set."""

    def __init__(self, make: Callable[[int], Any]):
        self.make = make

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


def ahead(make: Callable[[int], Any], indices: Iterable[int], workers: int) -> Iterator[Any]:
    """Yield make(i) for every i of `indices`, in their order.

    Args:
        make: a function of the index alone.
        indices: may be endless.
        workers: processes that work ahead, one result each; 0 makes every value when it is asked
            for. Results travel through shared memory (/dev/shm).
    """
    if workers == 0:
        yield from map(make, indices)
        return
    yield from DataLoader(
        _Lookup(make),
        sampler=indices,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=1,
        collate_fn=_as_it_is,
        # The loader draws a seed for its workers; with a generator of its own it leaves torch's be.
        generator=torch.Generator(),
        # The workers touch no GPU, so they may be forks of a process that does.
        multiprocessing_context="fork",
    )


def _as_it_is(value: Any) -> Any:
    return value
