"""The formats of a trace: what a line of a file may look like, and what is taken from it.

A line is recognised by its keys, so one file may mix formats:

| key | format |
|---|---|
| `choices`, also within `response.body` of a batch file | OpenAI chat or legacy completion |
| `outputs` | vLLM's RequestOutput as JSON, its flat log-probabilities too |
| `output` | OpenAI's Responses API |
| `logprobs` with `content` | one choice of a chat completion; what `ares benchmark` writes |
| `logprobs` with `tokens` | one choice of a legacy completion |
| `logprobs`, a list | Ollama |
| `completion_probabilities` | llama.cpp |
| `meta_info` | SGLang |
| `details` | text-generation-inference |
| `tokens` | plain lists: tokens with `top_logprobs` or with `entropy` |

Alternatives of probability 0 (-Infinity or null) are left out. Functions here raise `Malformed`,
which knows nothing of files; the reader adds file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, log
from typing import Any

HOW_TO_ASK = (
    'ask the server again with "logprobs": true, "top_logprobs": 20 (chat) or "logprobs": 20 '
    "(legacy completions)"
)

#: Token and log-probability. Their types are checked when the entropy is computed, all at once.
Alternative = tuple[str, Any]


class Malformed(Exception):
    """What is wrong with a line, and what to do about it."""


class Failed(Malformed):
    """A request that has no response: its line says so."""


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


def responses(line: Any) -> Iterator[Raw | Malformed]:
    """The responses of one line; of several in a line what is wrong with those that can't be used.

    Raises:
        Malformed: it has no known format, or lacks log-probabilities.
    """
    if not isinstance(line, Mapping):
        raise Malformed("not a JSON object: a line holds one, in curly brackets")
    batch, failure = line.get("response"), line.get("error")
    if isinstance(batch, Mapping):  # a line of a batch's output file
        body = batch.get("body")
        line = body if isinstance(body, Mapping) else batch
        failure = failure or line.get("error")
    if failure and not {"choices", "outputs", "output", "tokens"} & line.keys():
        raise Failed(f"a request that failed: {str(failure)[:200]}")
    if str(line.get("object", "")).endswith(".chunk"):
        raise Malformed("a chunk of a stream: put the chunks together, or ask without `stream`")
    several = next((key for key in ("choices", "outputs") if key in line), None)
    if several is None:
        yield _response(_of_responses_api(line) if isinstance(line.get("output"), list) else line)
        return
    parts = line[several]
    if not isinstance(parts, list) or not parts:
        raise Malformed(f"{several}: empty or no list, so there is no response")
    for number, part in enumerate(parts):
        try:
            if not isinstance(part, Mapping):
                raise Malformed("not an object")
            raw = _response(part, of_vllm=several == "outputs")
        except Malformed as error:
            told = Malformed(f"{several}[{number}]: {error}")
            if len(parts) == 1:
                raise told from None
            yield told
            continue
        raw.number = number if len(parts) > 1 else None
        yield raw


def _response(part: Mapping[str, Any], of_vllm: bool = False) -> Raw:
    logprobs, entropy = part.get("logprobs"), part.get("entropy")
    within = logprobs if isinstance(logprobs, Mapping) else {}
    if isinstance(logprobs, list) and not of_vllm:
        within = {"content": logprobs}
    native = next((key for key in _NATIVE if part.get(key) is not None), None)
    if of_vllm:
        raw = _read("an output of vLLM", _vllm_output, part)
    elif native is not None:
        raw = _read(f"a reply with {native}", _NATIVE[native], part)
    elif within.get("content") is not None or within.get("reasoning_content") is not None:
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
    if isinstance(message, Mapping):
        # A thought's tokens are listed before those of the answer, where they are.
        thought = message.get("reasoning_content") if within.get("reasoning_content") else None
        text, thought = message.get("content"), thought if isinstance(thought, str) else ""
        text = thought + text if isinstance(text, str) else text
    else:
        text = next((part[key] for key in ("text", "response") if key in part), None)
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
    records = [*(logprobs.get("reasoning_content") or ()), *(logprobs.get("content") or ())]
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
    given = output["logprobs"]
    given = _unflattened(given) if isinstance(given, Mapping) else given
    for number, listed in zip(output["token_ids"], given, strict=True):
        names = {
            key: entry["decoded_token"] if entry.get("decoded_token") is not None else f"<{key}>"
            for key, entry in listed.items()
        }
        tokens.append(names[str(number)])
        each = [(names[key], entry["logprob"]) for key, entry in listed.items()]
        alternatives.append(_possible(each))
        # The sampled token is listed beside the k most probable ones: its rank tells if it is one.
        rank = listed[str(number)].get("rank")
        sizes.append(len(listed) - (rank is not None and rank > len(listed)))
    return Raw(tokens, alternatives, min(sizes, default=None))


def _unflattened(flat: Mapping[str, Any]) -> list[dict[str, dict[str, Any]]]:
    """vLLM's flat log-probabilities as a mapping of token ids for every token."""
    columns = flat["token_ids"], flat["logprobs"], flat["ranks"], flat["decoded_tokens"]
    entries = list(zip(*columns, strict=True))
    spans = zip(flat["start_indices"], flat["end_indices"], strict=True)
    return [
        {
            str(key): {"logprob": logprob, "rank": rank, "decoded_token": text}
            for key, logprob, rank, text in entries[start:stop]
        }
        for start, stop in spans
    ]


def _of_responses_api(line: Mapping[str, Any]) -> dict[str, Any]:
    """A reply of OpenAI's Responses API as a choice: its output texts, one after another."""
    messages = [each for each in line["output"] if isinstance(each, Mapping)]
    parts = [part for message in messages for part in message.get("content") or ()]
    texts = [p for p in parts if isinstance(p, Mapping) and p.get("type") == "output_text"]
    records = [record for part in texts for record in part.get("logprobs") or ()]
    return {"text": "".join(str(part.get("text", "")) for part in texts), "logprobs": records}


def _llama_cpp(part: Mapping[str, Any]) -> Raw:
    """llama.cpp's own endpoint, as it is and as it was."""
    tokens, listed, sampled = [], [], []
    for record in part["completion_probabilities"]:
        old = record.get("probs")
        tokens.append(record["content"] if old is not None else record["token"])
        top = record.get("top_logprobs") or ()
        pairs = [(each["tok_str"], each["prob"]) for each in old or ()]
        listed.append(_possible([(t, log(p) if p else None) for t, p in pairs]) or _pairs(top))
        sampled.append(record.get("logprob"))
    return _raw(tokens, listed, sampled)


def _sglang(part: Mapping[str, Any]) -> Raw:
    """SGLang's own endpoint: log-probability, id and text of every token."""
    given, tops = (part["meta_info"][f"output_{name}_logprobs"] for name in ("token", "top"))
    listed = [_possible([(text, value) for value, _, text in top or ()]) for top in tops]
    return _raw([text for _, _, text in given], listed, [value for value, *_ in given])


def _tgi(part: Mapping[str, Any]) -> Raw:
    """Details of text-generation-inference."""
    details = part["details"]
    tops = details.get("top_tokens") or [()] * len(details["tokens"])
    listed = [_possible([(each["text"], each["logprob"]) for each in top]) for top in tops]
    records = details["tokens"]
    return _raw([r["text"] for r in records], listed, [r["logprob"] for r in records])


#: Formats that servers have beside OpenAI's, by their key.
_NATIVE: dict[str, Callable[[Mapping[str, Any]], Raw]] = {
    "completion_probabilities": _llama_cpp,
    "meta_info": _sglang,
    "details": _tgi,
}


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
        return _possible(list(top.items()))
    found: list[Alternative] = []
    for entry in top:
        if isinstance(entry, Mapping):
            found.append((entry["token"], entry["logprob"]))
        elif isinstance(entry, list):
            name, value = entry
            found.append((str(name) if type(name) is int else name, value))
        else:
            found.append(("", entry))
    return _possible(found)


def _possible(listed: list[Alternative]) -> list[Alternative]:
    """Without alternatives of probability 0."""
    return [pair for pair in listed if pair[1] is not None and pair[1] != float("-inf")]


def with_sampled(listed: list[Alternative], token: str, logprob: Any) -> list[Alternative]:
    """The alternatives with the sampled token among them once.

    Several tokens may have one text (none at all, or U+FFFD), so the log-probability decides
    whether the sampled one is listed; some servers list it twice.

    >>> with_sampled([("a", -0.1)], "b", -3.0)
    [('a', -0.1), ('b', -3.0)]
    >>> with_sampled([("a", -0.5), ("a", -0.5), ("b", -2.0)], "a", -0.5)
    [('a', -0.5), ('b', -2.0)]
    >>> with_sampled([("", -0.1)], "", -3.0)
    [('', -0.1), ('', -3.0)]
    """
    if type(logprob) not in (int, float):
        return listed
    # Bare numbers have no name: the same value is the same token.
    same = [
        place
        for place, (name, value) in enumerate(listed)
        if name in (token, "")
        and type(value) in (int, float)
        and isclose(value, logprob, rel_tol=1e-6, abs_tol=1e-6)
    ]
    if not same:
        return [*listed, (token, logprob)]
    named = [place for place in same if listed[place][0] == token and token]
    return [pair for place, pair in enumerate(listed) if place not in named[1:]]
