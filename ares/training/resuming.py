"""Training that can be interrupted: checkpoints that are whole or not there, exact resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ares.training import checkpoints


class Resumable(Trainer):
    """A Trainer whose checkpoints `last_complete` can tell from halves of some.

    It stands before the trainer that it changes: `class MyTrainer(Resumable, SFTTrainer)`.
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
            checkpoints.mark_complete(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # transformers 5.23 writes weights under the names they have on the hub and reads them back
        # as they stand: of a model whose parts have other names in memory (Qwen2.5-VL) it would
        # restore nothing, with no more than a warning.
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
        newest = checkpoints.last_complete(trainer.args.output_dir)
    trainer.train(resume_from_checkpoint=newest)
