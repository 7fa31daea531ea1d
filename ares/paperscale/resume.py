"""Fine-tuning that can be interrupted: SFTTrainer with checkpoints that are whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import SFTTrainer

from ares.training import checkpoints


class ResumableSFTTrainer(SFTTrainer):
    """SFTTrainer whose checkpoints `last_complete` can tell from halves of some."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # every process has written its part
        if self.args.should_save:
            name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            checkpoints.mark_complete(Path(self._get_output_dir(trial=trial)) / name)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # As in AEPOTrainer: transformers 5.23 would restore nothing of a Qwen2.5-VL.
        model = self.model if model is None else model
        if self.is_fsdp_enabled or not isinstance(model, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(model).from_pretrained(resume_from_checkpoint, dtype=model.dtype)
        model.load_state_dict(saved.state_dict())


def train_or_resume(trainer: Any) -> None:
    """Train to the end, from the newest whole checkpoint where there is one."""
    with trainer.accelerator.main_process_first():  # it clears away what is not whole
        newest = checkpoints.last_complete(trainer.args.output_dir)
    trainer.train(resume_from_checkpoint=newest)
