"""The lexicon of reasoning triggers: our list, a user's, and how tokens are matched.

Deviations and choices:
1. The paper's list was kept by an LLM judge and is not printed; the release has a list of its own.
   Ours (`lexicon.json`) was written for general English, by category. Fillers that mean too many
   things (okay, well, right, look, see, now, just, ...) are left out on purpose.
2. A word is matched when ONE token spells it. Words that a tokenizer splits are never matched.
3. The release matches the TOP-1 token, App. H the SAMPLED one: `token_match` takes either ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from ares.errors import UserError

CATEGORIES = ("contrast", "cause", "hedge", "plan", "check", "conclude")
_OWN_LIST = Path(__file__).with_name("lexicon.json")
_LEADING_SPACE_MARKERS = "Ġ▁"  # byte-level BPE (GPT-2, Qwen) and SentencePiece


def normalize_token(token: str) -> str:
    """How tokens are compared: lower case, leading-space markers and whitespace stripped.

    >>> [normalize_token(token) for token in ("ĠWait", "▁▁wait", " wait\\n", "wait,")]
    ['wait', 'wait', 'wait', 'wait,']
    """
    return token.lstrip(_LEADING_SPACE_MARKERS).strip().lower()


@dataclass(frozen=True)
class Lexicon:
    """Reasoning triggers by category; `token in lexicon` matches any spelling of a token."""

    categories: Mapping[str, Sequence[str]]

    @cached_property
    def category_of(self) -> dict[str, str]:
        """Normalised word -> its category."""
        return {
            normalize_token(word): name for name, words in self.categories.items() for word in words
        }

    def __contains__(self, token: str) -> bool:
        return normalize_token(token) in self.category_of

    def vocabulary_mask(self, vocabulary: Sequence[str | None]) -> Tensor:
        """Which ids of a vocabulary (id -> token string, or None) are triggers: (V,) bool."""
        return torch.tensor(
            [token is not None and token in self for token in vocabulary], dtype=torch.bool
        )


def token_match(ids_BT: Tensor, trigger_V: Tensor, mask_BT: Tensor) -> Tensor:
    """Which tokens (sampled or top-1 ids) are triggers: (B, T) bool, False where masked."""
    mask_BT = mask_BT.bool()
    return trigger_V.to(ids_BT.device)[ids_BT.where(mask_BT, 0)] & mask_BT


def load_lexicon(path: str | Path | None = None) -> Lexicon:
    """Our list, or a user's: JSON {category: [words]}, or text with one word a line (# comments).

    Words of a text file get the category "user".

    Raises:
        UserError: the file is missing, malformed, empty, or gives a word two categories.
    """
    path = _OWN_LIST if path is None else Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            categories = TypeAdapter(dict[str, tuple[str, ...]]).validate_json(text)
        else:
            lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
            categories = {"user": tuple(filter(None, lines))}
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise UserError(f'{path}: expected {{"category": ["word", ...], ...}}: {what}') from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't read the lexicon ({error})") from None
    times = Counter(normalize_token(word) for words in categories.values() for word in words)
    repeated = sorted(word for word, count in times.items() if count > 1)
    if not times or "" in times or repeated:
        raise UserError(
            f"{path}: a lexicon needs words, none of them empty, and each of them once; "
            f"repeated: {', '.join(map(repr, repeated)) or 'none'}"
        )
    return Lexicon(categories)
