"""Resumable states that are whole or not there: a marker is written last, and only it counts.

transformers writes a checkpoint file by file into its final folder. A process that is killed then
leaves half a folder that looks like a whole one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ares.errors import UserError
from ares.io import KEY, SCHEMA, check, read_json, told_refusals, write_json
from ares.locks import held

MARKER = "complete.json"
#: Held by the process that trains with a folder of states.
LOCK = "lock"
#: What torch.save says when it can't write: it depends on where in the file that happens.
_TORCH_REFUSED = ("PytorchStreamWriter failed writing", "unexpected pos", "iostream error")


@contextmanager
def alone(state: str | Path, first: bool = True, wait_s: float = 60.0) -> Iterator[None]:
    """Keep other processes out of a folder of states, and report what its disk refuses.

    Only the first process of a run needs the lock. It waits for another for about `wait_s`, because
    workers of a process that was killed live on for a moment.

    Raises:
        UserError: another run works with the same folder; the disk is full or refuses.
    """
    busy = f"{state}: {{owner}} is training with this folder; wait for it, or end it"
    lock = held(Path(state) / LOCK, busy, wait_s) if first else nullcontext()
    try:
        with told_refusals(state), lock:
            yield
    except RuntimeError as error:  # of torch, where a disk is full
        if not any(words in str(error) for words in _TORCH_REFUSED):
            raise
        raise UserError(
            f"{state}: a state could not be written: disk full? the state before is intact, and "
            "the same command goes on from there"
        ) from error
    except UnpicklingError as error:  # transformers loads states as numbers only
        raise UserError(
            f"{state}: a state there is damaged, or holds more than numbers, and was not loaded; "
            "remove the newest checkpoint, or the folder if it is not yours"
        ) from error


def mark_complete(folder: str | Path) -> None:
    """Flush every file of a checkpoint to the disk, then write the marker with their sizes."""
    folder = Path(folder)
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MARKER:
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
            sizes[str(path.relative_to(folder))] = path.stat().st_size
    write_json(folder / MARKER, {KEY: SCHEMA, "files": sizes})


def is_complete(folder: str | Path) -> bool:
    """Whether a checkpoint has its marker and every file the marker names, at its size.

    Raises:
        UserError: the marker is damaged, or of another version.
    """
    folder = Path(folder)
    if not (folder / MARKER).is_file():
        return False
    content = read_json(folder / MARKER)
    if not isinstance(content, dict) or not isinstance(content.get("files"), dict):
        # No state is removed for that: its weights may be whole.
        raise UserError(
            f"{folder / MARKER}: damaged; remove {folder}, then training goes on from the state "
            "before"
        )
    check(content.get(KEY), folder, f"remove {folder.parent}, then training starts again")
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in content["files"].items()
    )


def last_complete(output_dir: str | Path) -> str | None:
    """The newest whole checkpoint of a run, or None; what a killed process left is removed.

    Raises:
        UserError: a checkpoint of another version.
    """
    newest = None
    folders = Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*")
    for folder in sorted(folders, key=lambda folder: int(folder.name.rpartition("-")[2])):
        if is_complete(folder):
            newest = str(folder)
        else:
            shutil.rmtree(folder)
    return newest


class Resumable(Trainer):
    """A Trainer whose half-written checkpoints `last_complete` recognises.

    Mix it in before the trainer that it changes: `class MyTrainer(Resumable, SFTTrainer)`.
    """

    def write_state(self, folder: Path) -> None:
        """Add what a trainer carries from step to step beside model, optimizer and data."""

    def read_state(self, folder: Path) -> None:
        """Take back what `write_state` added."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # every process has written its part
        if self.args.should_save:
            name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder = Path(self._get_output_dir(trial=trial)) / name
            self.write_state(folder)
            mark_complete(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # transformers 5.23 writes weights under the names they have on the hub and reads them back
        # without renaming: where the parts of a model have other names in memory (Qwen2.5-VL), it
        # would restore nothing, with no more than a warning.
        model = self.model if model is None else model
        if self.is_fsdp_enabled or not isinstance(model, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(model).from_pretrained(
            resume_from_checkpoint, dtype=model.dtype, use_safetensors=True
        )
        model.load_state_dict(saved.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.read_state(Path(checkpoint))


def train_or_resume(trainer: Trainer) -> None:
    """Train to the end, from the newest whole checkpoint where there is one."""
    with trainer.accelerator.main_process_first():  # it clears away what is not whole
        newest = last_complete(trainer.args.output_dir)
    trainer.train(resume_from_checkpoint=newest)
