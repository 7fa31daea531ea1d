"""How many tokens prompts have, for a dry run: exactly for text where the tokenizer is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ares.backends.messages import characters, pictures
from ares.errors import UserError

#: Rules of thumb: characters of English text per token, and pixels of a visual token of Qwen2.5-VL.
CHARACTERS, PIXELS = 4, 28 * 28


class TokenCounter:
    """Counts the tokens of chat messages; called with them.

    Args:
        tokenizer: with a chat template; None estimates at four characters a token.

    Pictures are always estimated, at one token per 28 x 28 pixels, before any resizing.

    >>> TokenCounter()([{"role": "user", "content": "2 + 2 = ?"}])
    3
    """

    def __init__(self, tokenizer: Any = None) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def of(cls, model: str) -> TokenCounter:
        """With the tokenizer of a model folder, or of a model of the hub.

        Raises:
            UserError: there is none, or it has no chat template.
        """
        from transformers import AutoTokenizer

        from ares.paths import resolve

        folder = next((f for f in (Path(model), resolve(model)) if f.is_dir()), model)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise UserError(f"{model}: no tokenizer ({str(error).splitlines()[0]})") from None
        if not tokenizer.chat_template:
            raise UserError(f"{model}: its tokenizer has no chat template")
        return cls(tokenizer)

    @property
    def how(self) -> str:
        """How it counts, in words."""
        text = "estimated at 4 characters a token" if self.tokenizer is None else "counted"
        return f"of text are {text}, of pictures estimated at one per 28 x 28 pixels"

    def __call__(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """Tokens of the prompt, those of its pictures included."""
        visual = sum(-(-image.width * image.height // PIXELS) for image in pictures(messages))
        if self.tokenizer is None:
            return visual + -(-characters(messages) // CHARACTERS)
        ids = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages], add_generation_prompt=True, return_dict=False
        )
        return visual + len(ids)
