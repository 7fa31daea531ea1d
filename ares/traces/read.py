"""Read a file of traces: JSON Lines in any of the formats of `ares.traces.formats`.

Line by line, so that memory does not grow with the file. Entropy is what the file says where it has
`entropy`; else it is taken from the listed log-probabilities, with what they leave out as one more
word (the tail bucket of `ares.method.entropy`). That is a lower bound: `Trace.unlisted` tells how
much probability it concerns.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from tqdm import tqdm

from ares.errors import UserError
from ares.method.difficulty import BUCKETS
from ares.method.entropy import topk_entropy
from ares.traces import Part
from ares.traces.formats import Alternative, Failed, Malformed, Raw, responses
from ares.traces.spelling import clean, spelled

#: Bytes of one line. 32,000 tokens with 20 alternatives each are about 50 MB. As Python objects a
#: hostile line takes more than 20 times its bytes.
LONGEST_LINE = 128 * 2**20
#: What ends a thought; tokens that no text is made of.
_CLOSE = "</think>"
_SPECIAL = re.compile(r"<\|.*\|>|<｜.*｜>|</?s>|<(?:bos|eos|pad|unk|end_of_turn|start_of_turn)>")
#: The first bytes of a compressed file, whatever its name.
_GZIP = b"\x1f\x8b"
#: A log-probability may be this far above 0 by rounding.
_ROUNDING = 1e-3
#: Nats of a token: the entropy of more words (e^32) than any vocabulary has.
_MOST = 32.0


@dataclass(frozen=True, eq=False)
class Trace:
    """One response, token by token.

    id: names it; with the number of the sample or choice where there are several.
    problem: what several traces of one question share (benchmark and id).
    tokens: T of them, as they read.
    entropy: (T,) float32, nats.
    unlisted: (T,) float32, the probability of all that is not listed; 0 where entropy is exact.
    top_k: fewest alternatives listed for a token; None: the entropy is exact (the file gives it).
    listed: alternatives of every token in the file's order; None where the file has none.
    The others: what the file says; None or "" where it does not.
    """

    id: str
    problem: str
    tokens: list[str]
    entropy: np.ndarray
    unlisted: np.ndarray
    top_k: int | None = None
    listed: list[list[Alternative]] | None = None
    correct: bool | None = None
    difficulty: str = ""
    benchmark: str = ""
    prompt: str = ""
    answer: str = ""
    gold: str = ""
    finish: str = ""

    def alternatives(self, place: int) -> list[Alternative]:
        """Listed alternatives of a token, best first; none where the file has none."""
        listed = self.listed[place] if self.listed else []
        return sorted(((clean(name), value) for name, value in listed), key=lambda pair: -pair[1])


def part_of(trace: Trace, part: Part, drop_special: bool) -> Trace:
    """A trace without its special tokens, or without its thought or its answer.

    Args:
        part: "think" is what stands up to </think> (all of it where there is none), "answer" what
            comes behind (nothing where there is none), "all" both.
    """
    kept = np.ones(len(trace.tokens), bool)
    if part != "all":
        ends = np.cumsum([len(token) for token in trace.tokens])
        closed = "".join(trace.tokens).rfind(_CLOSE)
        thought = ends <= closed + len(_CLOSE) if closed >= 0 else kept
        kept &= thought if part == "think" else ~thought
    if drop_special:
        kept &= [not _SPECIAL.fullmatch(token.strip()) for token in trace.tokens]
    places = np.flatnonzero(kept)
    return replace(
        trace,
        tokens=[trace.tokens[place] for place in places],
        entropy=trace.entropy[places],
        unlisted=trace.unlisted[places],
        listed=trace.listed and [trace.listed[place] for place in places],
    )


def read_traces(path: str | Path, progress: str = "", strict: bool = False) -> Iterator[Trace]:
    """The traces of a file, in its order.

    Requests that failed, as their line says, and single choices of a line that can't be used are
    left out and counted on stderr.

    Args:
        path: JSON Lines, gzipped or not; "-" is standard input.
        progress: what the progress bar is called; "" for none.
        strict: end at the first that would be left out.

    Raises:
        UserError: the file can't be read, a line is not a trace, or nothing is left: names file,
            line and remedy.
    """
    aside: list[str] = []
    read = 0
    for number, line in _lines(path, progress):
        where = f"{path}, line {number}: "
        try:
            for trace in traces_of(_parsed(line, number), number):
                if isinstance(trace, Malformed):
                    aside.append(where + str(trace)[:_LONGEST_MESSAGE])
                else:
                    read += 1
                    yield trace
        except Failed as error:
            aside.append(where + str(error)[:_LONGEST_MESSAGE])
        except (Malformed, RecursionError) as error:
            told = str(error) if isinstance(error, Malformed) else "too many lists within lists"
            raise UserError(where + told[:_LONGEST_MESSAGE]) from None
        if aside and strict:
            raise UserError(aside[0])
    if aside and not read:
        raise UserError(f"{aside[0]}; no line has a response")
    if aside:
        print(f"left out {len(aside)} responses: {aside[0]}", file=sys.stderr)


def traces_of(line: Any, number: int = 1) -> Iterator[Trace | Malformed]:
    """The traces in the value of one line, and what is wrong with choices that can't be used.

    Raises:
        Malformed: it is no trace.
    """
    several = line if isinstance(line, list) else [line]  # an array of them on one line
    for place, one in enumerate(several):
        name = f"{number}.{place + 1}" if len(several) > 1 else str(number)
        for raw in responses(one):
            if isinstance(raw, Malformed):
                yield raw
                continue
            try:
                yield _trace(raw, one, name)
            except Malformed as error:
                if raw.number is None:
                    raise
                yield Malformed(f"choice {raw.number}: {error}")


def _lines(path: str | Path, progress: str) -> Iterator[tuple[int, bytes]]:
    """Number and content of every line that is not blank."""
    with _opened(path) as (file, raw):
        size = os.fstat(raw.fileno()).st_size if raw else None
        bar: tqdm = tqdm(
            desc=progress, total=size, unit="B", unit_scale=True, disable=not progress, leave=False
        )
        for number in itertools.count(1):
            try:
                line = file.readline(LONGEST_LINE + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise UserError(
                    f"{path}, line {number}: the compressed file is damaged or cut off ({error}); "
                    "fetch it again"
                ) from None
            if len(line) > LONGEST_LINE:
                raise UserError(
                    f"{path}, line {number}: longer than {LONGEST_LINE >> 20} MiB; a line is one "
                    "response, so split it, or list fewer alternatives"
                )
            if raw:
                bar.update(raw.tell() - bar.n)
            if not line:
                bar.close()
                return
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[IO[bytes], IO[bytes] | None]]:
    """The stream of lines, and the file whose position tells how much has been read."""
    if str(path) == "-":
        stream = sys.stdin.buffer
        if getattr(stream, "peek", lambda _: b"")(2)[:2] != _GZIP:
            yield stream, None
            return
        with gzip.open(stream) as unpacked:
            yield cast("IO[bytes]", unpacked), None
        return
    path = Path(path)
    try:
        raw = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    with raw:
        packed = path.suffix == ".gz" or raw.read(2) == _GZIP
        raw.seek(0)
        if not packed:
            yield raw, raw
            return
        with gzip.open(raw) as unpacked:
            yield cast("IO[bytes]", unpacked), raw


def _parsed(line: bytes, number: int) -> Any:
    """Raises Malformed: it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        why = f"not valid JSON ({error}); every line holds one JSON object"
        if not line.endswith(b"\n") and number > 1:
            why = f"not valid JSON ({error}); the file ends within this line: was it cut off?"
        elif line.strip() in (b"{", b"["):
            why = "JSON over several lines; `jq -c . FILE` makes it one object per line"
        raise Malformed(why) from None


def _trace(raw: Raw, line: Mapping[str, Any], number: str) -> Trace:
    # Only those texts of a line are read that are texts; others are as good as missing.
    said = {key: clean(value) for key, value in line.items() if isinstance(value, str)}
    problem = next((line[key] for key in _NAMES if line.get(key) is not None), f"line {number}")
    if not isinstance(problem, str | int | float):
        raise Malformed("id: neither a text nor a number")
    problem = clean(str(problem)) or f"line {number}"
    parts = [part for part in (line.get("sample"), raw.number) if isinstance(part, int)]
    entropy, unlisted = _entropy(raw)
    return Trace(
        id="#".join(map(str, (problem, *parts))),
        problem=f"{said.get('benchmark', '')}/{problem}",
        tokens=spelled(raw.tokens, raw.text, _known_bytes(raw)),
        entropy=entropy,
        unlisted=unlisted,
        top_k=None if raw.entropy is not None else raw.top_k,
        listed=raw.alternatives,
        correct=_among(line, "correct", {None: None, True: True, False: False}),
        difficulty=_among(line, "difficulty", {None: "", "": "", **{b: b for b in BUCKETS}}),
        answer=said.get("extracted") or said.get("answer", ""),
        finish=clean(raw.finish),
        **{name: said.get(name, "") for name in ("benchmark", "prompt", "gold")},
    )


#: Characters of a message: it may repeat what the file holds.
_LONGEST_MESSAGE = 500
#: Keys that name a response, in the order in which they are looked for.
_NAMES = ("id", "custom_id", "request_id")


def _among(line: Mapping[str, Any], key: str, meanings: Mapping[Any, Any]) -> Any:
    """What a value of the line means; 0 and 1 are false and true."""
    value = line.get(key)
    if isinstance(value, list | dict) or value not in meanings:
        expected = ", ".join(json.dumps(known) for known in meanings if known != "")
        raise Malformed(f"{key}: {value!r}; expected one of {expected}")
    return meanings[value]


def _entropy(raw: Raw) -> tuple[np.ndarray, np.ndarray]:
    """Entropy and unlisted probability of every token."""
    length = len(raw.tokens)
    zeros = np.zeros(length, np.float32)
    logprobs = _padded(raw.alternatives) if raw.alternatives else None
    if raw.entropy is not None:
        given = _numbers(raw.entropy, "entropy")
        if given.shape != (length,):
            raise Malformed(f"{length} tokens and {given.size} entropies: give one per token")
        wrong = ~((given > -_ROUNDING) & (given < _MOST))
        if wrong.any():
            at = int(wrong.argmax())
            raise Malformed(f"entropy of token {at} is {given[at]}: give nats, from 0 to {_MOST:g}")
        return given.clip(0.0).astype(np.float32), zeros
    if logprobs is None:
        return zeros, zeros
    listed = np.exp(logprobs).sum(1)
    try:
        found = topk_entropy(torch.from_numpy(logprobs)[None], torch.ones(1, length))[0]
    except UserError:
        told = f"token {int((listed >= 1.01).argmax())}: its probabilities add up to more than 1"
        raise Malformed(f"{told}: are these logits?") from None
    unlisted = np.clip(1.0 - listed, 0.0, 1.0).astype(np.float32)
    return found.clamp(min=0.0).numpy().astype(np.float32), unlisted


def _padded(alternatives: list[list[Alternative]]) -> np.ndarray:
    """Log-probabilities, (T, K) float64, -inf where a token has fewer than K alternatives."""
    if not {type(name) for listed in alternatives for name, _ in listed} <= {str}:
        raise Malformed("top_logprobs: a token that is not a text")
    counts = np.array([len(listed) for listed in alternatives])
    values = _numbers([value for listed in alternatives for _, value in listed], "log-probability")
    wrong = ~(np.isfinite(values) & (values <= _ROUNDING))
    if wrong.any():
        token = int(np.searchsorted(np.cumsum(counts), wrong.argmax(), side="right"))
        raise Malformed(
            f"a log-probability of token {token} is {values[wrong.argmax()]}: give finite ones, 0 "
            "or less; leave an alternative of probability 0 out"
        )
    padded = np.full((len(counts), counts.max()), -np.inf)
    padded[np.arange(counts.max()) < counts[:, None]] = values.clip(max=0.0)
    return padded


def _numbers(values: Any, what: str) -> np.ndarray:
    if not isinstance(values, list) or not {*map(type, values)} <= {float, int}:
        raise Malformed(f"{what}: not a list of numbers")
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise Malformed(f"{what}: a number beyond all bounds") from None


def _known_bytes(raw: Raw) -> list[bytes] | None:
    """The bytes of those tokens that have them; None where they are no bytes."""
    try:
        return [bytes(known) for known in raw.token_bytes or [] if isinstance(known, list)]
    except (TypeError, ValueError):
        return None
