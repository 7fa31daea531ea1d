"""How many tokens prompts have, for a dry run: exactly for text where the tokenizer is at hand."""

from __future__ import annotations

from typing import Any

from ares.backends.messages import Messages, characters, pictures
from ares.backends.weights import local_folder
from ares.errors import UserError

#: Rules of thumb: characters of English text per token, and pixels of a visual token of Qwen2.5-VL.
CHARACTERS, PIXELS = 4, 28 * 28


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a model folder, or of a model of the hub.

    Raises:
        UserError: there is none, or it has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(local_folder(model) or model)
    except (OSError, ValueError) as error:
        raise UserError(f"{model}: no tokenizer ({str(error).splitlines()[0]})") from None
    if not tokenizer.chat_template:
        raise UserError(f"{model}: its tokenizer has no chat template")
    return tokenizer


def prompt_tokens(messages: Messages, tokenizer: Any = None) -> int:
    """Tokens of a prompt, estimated at four characters a token without a tokenizer.

    Pictures are always estimated, at one token per 28 x 28 pixels, before any resizing.

    >>> prompt_tokens([{"role": "user", "content": "2 + 2 = ?"}])
    3
    """
    visual = sum(-(-image.width * image.height // PIXELS) for image in pictures(messages))
    if tokenizer is None:
        return visual + -(-characters(messages) // CHARACTERS)
    ids = tokenizer.apply_chat_template(
        [dict(message) for message in messages], add_generation_prompt=True, return_dict=False
    )
    return visual + len(ids)
