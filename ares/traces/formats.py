"""The formats of a trace: what a line of a file may look like, and what is taken from it.

A line is recognised by its keys, so one file may mix formats:

| key | format |
|---|---|
| `choices`, also within `response.body` of a batch file | OpenAI chat or legacy completion |
| `outputs` | vLLM's RequestOutput as JSON |
| `logprobs` with `content` | one choice of a chat completion; what `ares benchmark` writes |
| `logprobs` with `tokens` | one choice of a legacy completion |
| `tokens` | plain lists: tokens with `top_logprobs` or with `entropy` |

Functions here raise `Malformed`, which knows nothing of files; the reader adds file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOW_TO_ASK = (
    'ask the server again with "logprobs": true, "top_logprobs": 20 (chat) or "logprobs": 20 '
    "(legacy completions)"
)

#: Token and log-probability. Their types are checked when the entropy is computed, all at once.
Alternative = tuple[str, Any]


class Malformed(Exception):
    """What is wrong with a line, and what to do about it."""


@dataclass
class Raw:
    """One response as the file has it.

    alternatives: of every token, the sampled one among them once; None without log-probabilities.
    top_k: the fewest alternatives listed for a token, not counting sampled ones that were added;
        None without log-probabilities.
    entropy: of every token over the whole vocabulary, if the file has it.
    number: of the choice within its line, if there are several.
    """

    tokens: list[str]
    alternatives: list[list[Alternative]] | None = None
    top_k: int | None = None
    token_bytes: list[Any] | None = None
    entropy: Any = None
    text: str | None = None
    finish: str = ""
    number: int | None = None


def responses(line: Any) -> Iterator[Raw]:
    """The responses of one line.

    Raises:
        Malformed: it has no known format, or lacks log-probabilities.
    """
    if not isinstance(line, Mapping):
        raise Malformed("not a JSON object: a line holds one, in curly brackets")
    batch = line.get("response")
    if isinstance(batch, Mapping):  # a line of a batch's output file
        body = batch.get("body")
        line = body if isinstance(body, Mapping) else batch
    several = next((key for key in ("choices", "outputs") if key in line), None)
    if several is None:
        yield _response(line)
        return
    parts = line[several]
    if not isinstance(parts, list) or not parts:
        raise Malformed(f"{several}: empty or no list, so there is no response")
    for number, part in enumerate(parts):
        if not isinstance(part, Mapping):
            raise Malformed(f"{several}[{number}]: not an object")
        raw = _response(part, of_vllm=several == "outputs")
        raw.number = number if len(parts) > 1 else None
        yield raw


def _response(part: Mapping[str, Any], of_vllm: bool = False) -> Raw:
    logprobs, entropy = part.get("logprobs"), part.get("entropy")
    within = logprobs if isinstance(logprobs, Mapping) else {}
    if of_vllm:
        raw = _read("an output of vLLM", _vllm_output, part)
    elif within.get("content") is not None:
        raw = _read("a chat completion", _chat, within)
    elif "tokens" in within:
        raw = _read("a legacy completion", _lists, within)
    elif "tokens" in part:
        raw = _read("lists of tokens and top_logprobs", _lists, part)
    elif entropy is not None:
        raise Malformed(
            "entropy without tokens: add the list `tokens` (`ares benchmark` writes tokens with "
            "--top-logprobs 1 or more)"
        )
    elif {"logprobs", "message", "text"} & part.keys():
        raise Malformed(f"no log-probabilities: {HOW_TO_ASK}")
    else:
        raise Malformed(
            f"no known format (keys: {', '.join(map(str, list(part)[:8])) or 'none'}): expected "
            "choices, outputs, logprobs or tokens; docs/traces.md shows them"
        )
    if not {*map(type, raw.tokens)} <= {str}:
        raise Malformed("tokens: not a list of texts")
    if entropy is None and raw.alternatives is None:
        raise Malformed(f"top_logprobs: missing, and there is no `entropy`: {HOW_TO_ASK}")
    if not raw.top_k and raw.tokens:
        if entropy is None:
            raise Malformed(
                "a token without top_logprobs: its own log-probability says nothing about its "
                f"entropy; {HOW_TO_ASK}"
            )
        raw.alternatives = raw.top_k = None
    message = part.get("message")
    text = message.get("content") if isinstance(message, Mapping) else part.get("text")
    raw.text = text if isinstance(text, str) else None
    finish = part.get("finish", part.get("finish_reason"))
    raw.finish = finish if isinstance(finish, str) else ""
    raw.entropy = entropy
    return raw


def _read(name: str, reader: Callable[[Mapping[str, Any]], Raw], part: Mapping[str, Any]) -> Raw:
    """Read a response; the readers take the format for granted, and what breaks them breaks it."""
    try:
        return reader(part)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        known = {KeyError: f"no {error}", ValueError: "lists of different lengths"}
        why = known.get(type(error), error)
        told = f"not as {name} should be ({why}); docs/traces.md shows the format"
        raise Malformed(told) from None


def _chat(logprobs: Mapping[str, Any]) -> Raw:
    """Token records of the OpenAI chat format."""
    records = logprobs["content"]
    listed = [_pairs(record.get("top_logprobs") or []) for record in records]
    tokens, sampled = [record["token"] for record in records], [r.get("logprob") for r in records]
    return _raw(tokens, listed, sampled, [record.get("bytes") for record in records])


def _lists(lists: Mapping[str, Any]) -> Raw:
    """Parallel lists: those of a legacy completion, or of the line itself."""
    tokens, tops = list(lists["tokens"]), lists.get("top_logprobs")
    if tops is None:
        return Raw(tokens)
    sampled = lists.get("token_logprobs") or [None] * len(tokens)
    if None in tops:
        raise Malformed(
            f"token {tops.index(None)} has no log-probabilities (null), as the first token of a "
            "prompt: ask without echo, or leave the prompt out"
        )
    return _raw(tokens, list(map(_pairs, tops)), sampled)


def _vllm_output(output: Mapping[str, Any]) -> Raw:
    """A CompletionOutput of vLLM; alternatives are keyed by token id, so nothing is ambiguous."""
    if output.get("logprobs") is None:
        raise Malformed("outputs.logprobs: missing: sample with SamplingParams(logprobs=20)")
    tokens, alternatives, sizes = [], [], []
    for number, listed in zip(output["token_ids"], output["logprobs"], strict=True):
        names = {
            key: entry["decoded_token"] if entry.get("decoded_token") is not None else f"<{key}>"
            for key, entry in listed.items()
        }
        tokens.append(names[str(number)])
        alternatives.append([(names[key], entry["logprob"]) for key, entry in listed.items()])
        # The sampled token is listed beside the k most probable ones: its rank tells if it is one.
        rank = listed[str(number)].get("rank")
        sizes.append(len(listed) - (rank is not None and rank > len(listed)))
    return Raw(tokens, alternatives, min(sizes, default=None))


def _raw(
    tokens: list[str],
    listed: list[list[Alternative]],
    sampled: Sequence[Any],
    token_bytes: list[Any] | None = None,
) -> Raw:
    """Raises ValueError: the lists differ in length."""
    each = zip(listed, tokens, sampled, strict=True)
    alternatives = [with_sampled(*of_token) for of_token in each]
    return Raw(tokens, alternatives, min(map(len, listed), default=None), token_bytes)


def _pairs(top: Any) -> list[Alternative]:
    """{token: logprob}, or a list of {"token", "logprob"}, of pairs or of bare numbers."""
    if isinstance(top, Mapping):
        return list(top.items())
    found: list[Alternative] = []
    for entry in top:
        if isinstance(entry, Mapping):
            found.append((entry["token"], entry["logprob"]))
        elif isinstance(entry, list):
            name, value = entry
            found.append((str(name) if type(name) is int else name, value))
        else:
            found.append(("", entry))
    return found


def with_sampled(listed: list[Alternative], token: str, logprob: Any) -> list[Alternative]:
    """The alternatives with the sampled token among them once.

    Text that could not be decoded (U+FFFD) stands for many tokens: there the log-probability
    decides whether the sampled one is listed.

    >>> with_sampled([("a", -0.1)], "b", -3.0)
    [('a', -0.1), ('b', -3.0)]
    >>> with_sampled([("a", -0.1)], "a", -0.1)
    [('a', -0.1)]
    >>> with_sampled([("\ufffd", -0.1)], "\ufffd", -3.0)
    [('�', -0.1), ('�', -3.0)]
    """
    if logprob is None or any(
        (name == token and ("\ufffd" not in token or value == logprob))
        or (name == "" and value == logprob)  # bare numbers: the same value is the same token
        for name, value in listed
    ):
        return listed
    return [*listed, (token, logprob)]
