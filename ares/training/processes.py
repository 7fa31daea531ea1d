"""What the processes of a run exchange: rows, numbers and sums per bucket."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from ares.method.difficulty import BucketSums


def gathered(accelerator: Accelerator, values_BT: Tensor) -> Tensor:
    """The rows of all processes, padded to one width, in TRL's order."""
    # Padding turns booleans into integers, on the processes that need padding only.
    numbers_BT = values_BT.long() if values_BT.dtype == torch.bool else values_BT
    padded_BT = accelerator.pad_across_processes(numbers_BT, dim=1)
    return accelerator.gather(padded_BT).to(values_BT.dtype)


def everywhere(accelerator: Accelerator, values: Sequence[float]) -> Tensor:
    """A list of every process, joined; float64 and equally long everywhere."""
    own = torch.tensor(list(values), dtype=torch.float64, device=accelerator.device)
    return accelerator.gather(own)


def reduced(accelerator: Accelerator, sums: BucketSums) -> BucketSums:
    """Sums per bucket, added up over all processes."""
    own_3D = sums.sums_3D.to(accelerator.device)
    return BucketSums(accelerator.reduce(own_3D, reduction="sum").cpu())
