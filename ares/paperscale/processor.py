"""The processor of a model without its weights: what counts tokens needs no more."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ares.errors import UserError
from ares.model.load import model_source
from ares.model.processor import TorchvisionFreeProcessor


def load_processor(name_or_path: str | Path) -> TorchvisionFreeProcessor:
    """The processor that `ares.model.load.load_policy` gives.

    Raises:
        UserError: no such model, or it has no processor of Qwen2.5-VL.
    """
    source = model_source(name_or_path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        pictures = Qwen2VLImageProcessorPil.from_pretrained(source)
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        raise UserError(f"{name_or_path}: its processor can't be loaded ({why})") from None
    return TorchvisionFreeProcessor(pictures, tokenizer, chat_template=tokenizer.chat_template)
