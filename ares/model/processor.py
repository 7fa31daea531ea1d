"""What encodes the prompts of a model: its processor, or a language model's tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin, Qwen2_5_VLProcessor

from ares.backends.messages import as_parts, as_texts, with_pictures_as
from ares.data.items import Item


class TorchvisionFreeProcessor(Qwen2_5_VLProcessor):
    """The stock processor less its video half, which is all that needs torchvision.

    transformers reads the parts of a processor from the signature of `__init__`, so leaving the
    video processor out of it is enough; folders saved by the stock class load as well.
    """

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **kwargs):
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template, **kwargs)


def reads_pictures(processor: Any) -> bool:
    """Whether a model that reads pictures has this processor; else it is a tokenizer."""
    return isinstance(processor, ProcessorMixin)


def tokenizer_of(processor: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of a processor, or the tokenizer itself."""
    return processor.tokenizer if reads_pictures(processor) else processor


def placed(messages: Sequence[Mapping[str, Any]], pictures: bool) -> list[dict[str, Any]]:
    """Messages in the form that chat templates and TRL want, every picture no more than its place.

    For a model that reads pictures every content is a list of parts, else it is a text.

    >>> placed([{"role": "user", "content": "1 + 1 = ?"}], pictures=True)
    [{'role': 'user', 'content': [{'type': 'text', 'text': '1 + 1 = ?'}]}]
    """
    if not pictures:
        return as_texts(messages)
    return with_pictures_as(as_parts(messages), lambda picture: {"type": "image"})


def prompt_text(item: Item, processor: Any) -> str:
    """The item's prompt as the chat template writes it, up to where the answer begins."""
    # The processor's template: a tokenizer saved apart from its processor may have none.
    return processor.apply_chat_template(
        placed(item.messages, reads_pictures(processor)),
        tokenize=False,
        add_generation_prompt=True,
    )


def prompt_tokens(item: Item, processor: Any) -> int:
    """Tokens of the item's prompt, pictures included, without decoding a pixel more than its size.

    Qwen2.5-VL: a picture is one token in the chat template and as many as its patches, merged, in
    the model.
    """
    text = prompt_text(item, processor)
    number = len(tokenizer_of(processor)(text, add_special_tokens=False)["input_ids"])
    for picture in item.images:
        pictures = processor.image_processor
        patches = pictures.get_number_of_image_patches(picture.height, picture.width)
        number += patches // pictures.merge_size**2 - 1
    return number
