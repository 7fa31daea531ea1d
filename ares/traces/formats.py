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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOW_TO_ASK = (
    'ask the server again with "logprobs": true, "top_logprobs": 20 (chat) or "logprobs": 20 '
    "(legacy completions)"
)

#: Token and log-probability; whether that is a number is checked when the entropy is taken.
Alternative = tuple[str, Any]


class Malformed(Exception):
    """What is wrong with a line, and what to do about it."""


@dataclass
class Raw:
    """One response as the file has it.

    alternatives: of every token, the sampled one among them once; None without log-probabilities.
    top_k: the fewest alternatives that were listed for a token, sampled ones that had to be added
        not counted; None without log-probabilities.
    entropy: of every token over the whole vocabulary, if the file has it.
    number: of the choice within its line, if there are several.
    """

    tokens: list[str]
    token_bytes: list[Any] | None = None
    alternatives: list[list[Alternative]] | None = None
    top_k: int | None = None
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
    parts = _list(line[several], several)
    if not parts:
        raise Malformed(f"{several}: empty, there is no response")
    for number, part in enumerate(parts):
        if not isinstance(part, Mapping):
            raise Malformed(f"{several}[{number}]: not an object")
        raw = _response(part, of_vllm=several == "outputs")
        raw.number = number if len(parts) > 1 else None
        yield raw


def _response(part: Mapping[str, Any], of_vllm: bool = False) -> Raw:
    logprobs, entropy = part.get("logprobs"), part.get("entropy")
    if of_vllm:
        raw = _vllm_output(part)
    elif isinstance(logprobs, Mapping) and logprobs.get("content") is not None:
        raw = _chat(_list(logprobs["content"], "logprobs.content"))
    elif isinstance(logprobs, Mapping) and "tokens" in logprobs:
        sampled = _list(logprobs.get("token_logprobs"), "logprobs.token_logprobs")
        raw = _parallel(logprobs, sampled, "logprobs.")
    elif "tokens" in part:
        raw = _parallel(part, part.get("token_logprobs"), "")
    elif entropy is not None:
        raise Malformed(
            "entropy without tokens: add the list `tokens` (`ares benchmark` writes tokens with "
            "--top-logprobs 1 or more)"
        )
    elif "logprobs" in part or "message" in part or "text" in part:
        raise Malformed(f"no log-probabilities: {HOW_TO_ASK}")
    else:
        raise Malformed(
            f"no known format (keys: {', '.join(map(str, list(part)[:8])) or 'none'}): expected "
            "choices, outputs, logprobs or tokens; docs/traces.md shows them"
        )
    if entropy is None and raw.alternatives is None:
        raise Malformed(f"top_logprobs: missing, and there is no `entropy`: {HOW_TO_ASK}")
    if not raw.top_k:
        if entropy is None and raw.tokens:
            raise Malformed(
                "a token without top_logprobs: its own log-probability says nothing of its "
                f"entropy; {HOW_TO_ASK}"
            )
        raw.alternatives = None if raw.tokens else raw.alternatives
        raw.top_k = None
    message = part.get("message")
    text = message.get("content") if isinstance(message, Mapping) else part.get("text")
    raw.text = text if isinstance(text, str) else None
    finish = part.get("finish", part.get("finish_reason"))
    raw.finish = finish if isinstance(finish, str) else ""
    raw.entropy = entropy
    return raw


def _chat(records: Sequence[Any]) -> Raw:
    """Token records of the OpenAI chat format."""
    tokens, token_bytes, alternatives, fewest = [], [], [], None
    for place, record in enumerate(records):
        if not isinstance(record, Mapping) or not isinstance(record.get("token"), str):
            raise Malformed(f"logprobs.content[{place}]: no text under `token`")
        tokens.append(record["token"])
        token_bytes.append(record.get("bytes"))
        listed = _pairs(record.get("top_logprobs") or [], place)
        fewest = len(listed) if fewest is None else min(fewest, len(listed))
        alternatives.append(with_sampled(listed, record["token"], record.get("logprob")))
    return Raw(tokens, token_bytes, alternatives, fewest)


def _parallel(lists: Mapping[str, Any], sampled: Any, within: str) -> Raw:
    """Parallel lists: those of a legacy completion, or of the line itself.

    Args:
        sampled: log-probability of every token; None where they are left out.
        within: what stands before the names of the lists in a message.
    """
    name = f"{within}top_logprobs"
    tokens = _texts(lists["tokens"], f"{within}tokens")
    if lists.get("top_logprobs") is None:
        return Raw(tokens)
    tops = _list(lists["top_logprobs"], name)
    sampled = [None] * len(tokens) if sampled is None else _list(sampled, "token_logprobs")
    if not len(tokens) == len(tops) == len(sampled):
        raise Malformed(
            f"{len(tokens)} tokens, {len(tops)} {name} and {len(sampled)} token_logprobs: give "
            "one of each per token"
        )
    alternatives, fewest = [], None
    for place, (token, top, logprob) in enumerate(zip(tokens, tops, sampled, strict=True)):
        if top is None:
            raise Malformed(
                f"token {place} has no log-probabilities (null), as the first token of a prompt: "
                "ask without echo, or leave the prompt out"
            )
        listed = _listed(top, place, name)
        fewest = len(listed) if fewest is None else min(fewest, len(listed))
        alternatives.append(with_sampled(listed, token, logprob))
    return Raw(tokens, None, alternatives, fewest)


def _listed(top: Any, place: int, name: str) -> list[Alternative]:
    """{token: logprob}, or a list of {"token", "logprob"}, of pairs or of bare numbers."""
    if isinstance(top, Mapping):
        return [(str(token), logprob) for token, logprob in top.items()]
    found: list[Alternative] = []
    for entry in _list(top, f"{name}[{place}]"):
        if isinstance(entry, Mapping):
            found += _pairs([entry], place)
        elif isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) == 2:
            name_or_id = entry[0]
            found.append((str(name_or_id) if type(name_or_id) is int else name_or_id, entry[1]))
        else:
            found.append(("", entry))
    return found


def _vllm_output(output: Mapping[str, Any]) -> Raw:
    """A CompletionOutput of vLLM; alternatives are keyed by token id, so nothing is ambiguous."""
    ids = _list(output.get("token_ids"), "outputs.token_ids")
    logprobs = output.get("logprobs")
    if logprobs is None:
        raise Malformed("outputs.logprobs: missing: sample with SamplingParams(logprobs=20)")
    positions = _list(logprobs, "outputs.logprobs")
    if len(ids) != len(positions):
        raise Malformed(f"{len(ids)} token_ids and {len(positions)} logprobs: one per token")
    tokens, alternatives, fewest = [], [], None
    for place, (number, listed) in enumerate(zip(ids, positions, strict=True)):
        if not isinstance(listed, Mapping) or str(number) not in listed:
            raise Malformed(f"outputs.logprobs[{place}]: token {number} is not among its entries")
        if not all(isinstance(entry, Mapping) for entry in listed.values()):
            raise Malformed(f"outputs.logprobs[{place}]: an entry that is not an object")
        entries = {
            key: (_decoded(entry, key), entry.get("logprob"), entry.get("rank"))
            for key, entry in listed.items()
        }
        tokens.append(entries[str(number)][0])
        alternatives.append([(token, logprob) for token, logprob, _ in entries.values()])
        # The sampled token is listed beside the k most probable ones: its rank tells if it is one.
        rank = entries[str(number)][2]
        size = len(entries) - (isinstance(rank, int) and rank > len(entries))
        fewest = size if fewest is None else min(fewest, size)
    return Raw(tokens, None, alternatives, fewest)


def _decoded(entry: Mapping[str, Any], key: str) -> str:
    text = entry.get("decoded_token")
    return text if isinstance(text, str) else f"<{key}>"


def with_sampled(listed: list[Alternative], token: str, logprob: Any) -> list[Alternative]:
    """The alternatives with the sampled token among them once; what they are is checked later.

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
        name == token and ("\ufffd" not in token or value == logprob) for name, value in listed
    ):
        return listed
    if any(name == "" and value == logprob for name, value in listed):
        return listed  # bare numbers: the same value is the same token
    return [*listed, (token, logprob)]


def _list(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{name}: {'missing' if value is None else 'not a list'}")
    return value


def _texts(value: Any, name: str) -> list[str]:
    tokens = list(_list(value, name))
    if not {*map(type, tokens)} <= {str}:
        raise Malformed(f"{name}: not a list of texts")
    return tokens


def _pairs(entries: Any, place: int) -> list[Alternative]:
    """Records of the OpenAI format as pairs."""
    try:
        return [(entry["token"], entry["logprob"]) for entry in entries]
    except (TypeError, KeyError):
        raise Malformed(
            f"top_logprobs of token {place}: not a list of {{token, logprob}}"
        ) from None
