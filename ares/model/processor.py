"""A Qwen2.5-VL processor for machines without torchvision."""

from __future__ import annotations

from transformers import Qwen2_5_VLProcessor


class TorchvisionFreeProcessor(Qwen2_5_VLProcessor):
    """The stock processor less its video half, which is all that needs torchvision.

    transformers reads the parts of a processor from the signature of `__init__`, so leaving the
    video processor out of it is enough; folders saved by the stock class load as well.
    """

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **kwargs):
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template, **kwargs)
