"""Items as TRL and processors want them: messages with places for pictures, and the pictures."""

from __future__ import annotations

from typing import Any

from ares.backends.messages import as_parts, with_pictures_as
from ares.items import Item


def with_places(item: Item) -> list[dict[str, Any]]:
    """The item's messages, every content a list of parts, every picture no more than its place.

    >>> from ares.answers.base import Question
    >>> asked = [{"role": "user", "content": "1 + 1 = ?"}]
    >>> with_places(Item("sums", "a", asked, Question("2", "number"), "a"))
    [{'role': 'user', 'content': [{'type': 'text', 'text': '1 + 1 = ?'}]}]
    """
    return with_pictures_as(as_parts(item.messages), lambda picture: {"type": "image"})


def prompt_tokens(item: Item, processor: Any) -> int:
    """Tokens of the item's prompt, pictures included, without decoding a pixel more than its size.

    Qwen2.5-VL: a picture is one token in the chat template and as many as its patches, merged, in
    the model.
    """
    tokenizer, pictures = processor.tokenizer, processor.image_processor
    # The processor's template: a tokenizer saved apart from its processor may have none.
    text = processor.apply_chat_template(
        with_places(item), tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    merged = pictures.merge_size**2
    patches = (
        pictures.get_number_of_image_patches(picture.height, picture.width)
        for picture in item.images
    )
    return len(ids) + sum(number // merged - 1 for number in patches)
