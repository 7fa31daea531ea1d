"""Run by torch.distributed: train every scenario, then a whole run, and save what came of it."""

import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import scenes
import torch
from accelerate import PartialState

from ares.training import checkpoints


def slow_rmtree(folder: Path) -> None:
    """Takes its time, so that a process that does not wait would find the folder as well."""
    removed.append(folder.name)
    time.sleep(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    removed: list[str] = []
    checkpoints.shutil = SimpleNamespace(rmtree=slow_rmtree)
    model, out = Path(sys.argv[1]), Path(sys.argv[2])
    run = scenes.run_of("ares-branch", model, out / "states", steps=3, updates=1)  # first: it
    # has to find out by itself how many processes there are
    run.train()
    processes = run.trainer.accelerator.num_processes
    results = {
        "run": {
            "tables": run.tables(),
            "removed": removed,
            "rollouts": run.trainer.args.per_device_train_batch_size,
            "newest": checkpoints.is_complete(out / "states" / "checkpoint-3"),
        }
    }
    for name in (*scenes.SCENARIOS, scenes.REFILL):
        results[name] = scenes.outcome(name, model, out / name, processes)
    torch.save(results, out / f"rank-{run.trainer.accelerator.process_index}.pt")
    PartialState().destroy_process_group()
