"""Tokens as text, however a tokenizer or a server spells them.

Servers mostly report decoded text; files made from a tokenizer hold raw vocabulary instead: bytes
as letters ("Ġthe", GPT-2 and Qwen) or a marker for the space ("▁the", "<0xE2>", SentencePiece).
A character may be spread over several tokens: the last of them shows it, the ones before show
their bytes as <0xF0>.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from functools import cache

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = re.compile(r"\s*")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` without lone surrogates, which no file in UTF-8 can hold.

    >>> clean("a" + chr(0xD800))
    'a�'
    """
    return _SURROGATES.sub("\ufffd", text)


def spelled(
    tokens: Sequence[str],
    text: str | None = None,
    token_bytes: Sequence[bytes] | None = None,
) -> list[str]:
    """Every token as it reads.

    Args:
        tokens: as the file has them.
        text: the response; tokens that make it up are text already, whatever they look like.
        token_bytes: the bytes of every token; of no use unless there are as many.

    >>> spelled(["ĠWait", ",", "Ċ"])
    [' Wait', ',', '\\n']
    >>> spelled(["▁so", "<0xC3>", "<0xA9>"])
    [' so', '<0xC3>', 'é']
    >>> spelled(["Ġ", "x"], text="Ġx")
    ['Ġ', 'x']
    """
    whole = "".join(tokens)
    if whole != text:
        spaced = None if text is None else _spaced(tokens, text)
        if spaced is not None:
            tokens = spaced
        elif token_bytes and len(token_bytes) == len(tokens) and _says_more(token_bytes, tokens):
            return decoded(token_bytes)
        # Most texts have no such sign, and one look at the whole is faster than at every token.
        elif ("Ġ" in whole or "Ċ" in whole) and any(token[:1] in ("Ġ", "Ċ") for token in tokens):
            return decoded(map(_from_letters, tokens))
        elif "▁" in whole and any(token[:1] == "▁" for token in tokens):
            return decoded(map(_from_pieces, tokens))
    return list(map(clean, tokens)) if _SURROGATES.search(whole) else list(tokens)


def _says_more(token_bytes: Sequence[bytes], tokens: Sequence[str]) -> bool:
    """Whether the bytes are not those of the tokens' own spelling."""
    pairs = zip(token_bytes, tokens, strict=True)
    return any(known != token.encode("utf-8", "replace") for known, token in pairs)


def _spaced(tokens: Sequence[str], text: str) -> list[str] | None:
    """Words with the space that stands before them in `text`; None if they do not make it up.

    For tokenizers whose decoder adds the spaces. Tokens that are not in the text (the end token)
    stay as they are.
    """
    if any(token[:1].isspace() for token in tokens):
        return None
    found, place = [], 0
    for token in tokens:
        gap = _SPACE.match(text, place)
        after = gap.end() if gap else place
        if token and text.startswith(token, after):
            found.append(text[place:after] + token)
            place = after + len(token)
        else:
            found.append(token)
    return None if text[place:].strip() else found


def decoded(pieces: Iterable[bytes]) -> list[str]:
    """UTF-8 that is cut anywhere, as text; a piece that completes nothing shows its bytes.

    >>> decoded([b"a", bytes([0xE2, 0x82]), bytes([0xAC]), bytes([0xFF])])
    ['a', '<0xE2><0x82>', '€', '�']
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    found = []
    for piece in pieces:
        text = decoder.decode(piece)
        found.append(text if text or not piece else "".join(f"<0x{byte:02X}>" for byte in piece))
    return found


@cache
def _letter_bytes() -> dict[str, int]:
    """Letter -> byte of byte-level BPE: printable bytes stand for themselves (GPT-2)."""
    themselves = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in themselves]
    return {chr(byte): byte for byte in themselves} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }


def _from_letters(token: str) -> bytes:
    letters = _letter_bytes()
    if all(letter in letters for letter in token):
        return bytes(letters[letter] for letter in token)
    return clean(token).encode()  # a special token, which is not spelled in bytes


def _from_pieces(token: str) -> bytes:
    byte = _BYTE_PIECE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else clean(token).replace("▁", " ").encode()
