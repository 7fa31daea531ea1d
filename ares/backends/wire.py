"""What goes over the wire: a request as JSON, a reply as a `Response`, and careful use of HTTP.

The format is that of OpenAI's chat endpoint.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from PIL import Image

from ares.backends.base import Decoding, Request, Response
from ares.backends.messages import plain, with_pictures_as
from ares.errors import UserError

#: Most probable tokens per position that servers give: OpenAI's limit, and vLLM's default.
MOST_TOP_LOGPROBS = 20
#: What common API keys look like, as a server might repeat them.
_KEYS = re.compile(r"\b(?:sk|hf|gsk|xai|nvapi)[-_][\w*.-]+|(?<=Bearer )\S+|(?<=://)[^\s/@]+(?=@)")
#: Characters of a key from which on it is looked for in answers; "-" and "EMPTY" are no secrets.
_SHORTEST_KEY = 8
_LONGEST_MESSAGE = 300


def request_body(request: Request, model: str, extra: Mapping[str, Any]) -> bytes:
    """The JSON of a request.

    Args:
        extra: further fields; they win over ours, and None takes a field out.

    Raises:
        UserError: more top log-probabilities than servers give.
    """
    decoding, top = request.decoding, request.decoding.top_logprobs
    if top > MOST_TOP_LOGPROBS:
        raise UserError(
            f"top_logprobs {top}: a server gives {MOST_TOP_LOGPROBS} at most; "
            "ask for fewer, or run the model in this process (vllm, transformers)"
        )
    body: dict[str, Any] = {
        "model": model,
        "messages": with_pictures_as(request.messages, _as_url),
        "max_tokens": decoding.max_tokens,
        "temperature": decoding.temperature,
        # Sent even when it is 1: a server's own default need not be (see `ServerBackend`).
        "top_p": decoding.top_p,
        "seed": request.seed,
        "top_k": decoding.top_k or None,
        "stop": list(decoding.stop) or None,
        "logprobs": True if top else None,
        "top_logprobs": top or None,
        **extra,
    }
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def _as_url(picture: Image.Image) -> dict[str, Any]:
    """A picture as a data URL: PNG, so no pixel changes."""
    data = io.BytesIO()
    # The default level takes half as long again for pictures that are no photographs.
    plain(picture).save(data, format="PNG", compress_level=1)
    url = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def most_bytes(decoding: Decoding) -> int:
    """More than any honest reply needs: a bound on what is read.

    >>> most_bytes(Decoding(max_tokens=1000)) // 2**20, most_bytes(Decoding(1000, top_logprobs=20))
    (1, 6680576)
    """
    return 2**20 + decoding.max_tokens * 256 * (2 + decoding.top_logprobs)


def parse_reply(raw: bytes) -> tuple[Response, int | None]:
    """The response in a reply, and the tokens it reports in all (prompt and response).

    Log-probabilities are cut down to what `Response` names and sorted: vLLM puts the sampled token
    first, wherever it ranks, and in the place of the least probable one if it is not among them.

    Raises:
        ValueError: no chat completion.

    >>> raw = b'{"choices": [{"message": {"content": "5"}, "finish_reason": "stop"}]}'
    >>> response, tokens = parse_reply(raw)
    >>> response.text, response.finish, tokens
    ('5', 'stop', None)
    """
    try:
        return _parsed(_loads(raw))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise ValueError("a reply that is no chat completion") from None


def _loads(raw: bytes) -> Any:
    reply = json.loads(raw)
    if b"\\ud" in raw.lower():
        # Half of a surrogate pair is legal JSON and can't be written to any file: "?" instead.
        whole = json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace")
        reply = json.loads(whole)
    return reply


def _parsed(reply: Any) -> tuple[Response, int | None]:
    choice = reply["choices"][0]
    message = choice["message"]
    # Servers call the reasoning by one of two names. A model that spent all its tokens on it has
    # no content.
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    content = (message.get("content") if reasoning else message["content"]) or ""
    if isinstance(content, list):  # parts, as Mistral sends them
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str) or not isinstance(reasoning, str):
        raise TypeError
    usage = reply.get("usage") or {}
    prompt, tokens, total = (
        None if (number := usage.get(name)) is None else int(number)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if total is None and prompt is not None and tokens is not None:
        total = prompt + tokens
    response = Response(
        text=content,
        reasoning=reasoning,
        finish=str(choice.get("finish_reason") or "unknown"),
        prompt_tokens=prompt,
        tokens=tokens,
        logprobs=_records(choice.get("logprobs")),
    )
    return response, total


def _records(logprobs: Any) -> list[dict[str, Any]] | None:
    """Token records; None where there are none, or none that can be read: the answer is kept."""
    try:
        if isinstance(logprobs, Mapping) and "tokens" in logprobs:  # legacy, as llama-cpp-python
            columns = logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"]
            content = [
                {
                    "token": token,
                    "logprob": logprob,
                    "top_logprobs": [{"token": t, "logprob": v} for t, v in (top or {}).items()],
                }
                for token, logprob, top in zip(*columns, strict=True)
            ]
        else:
            content = logprobs["content"] if logprobs else None
        return None if content is None else [_record(token) for token in content]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _record(token: Any) -> dict[str, Any]:
    listed = token.get("top_logprobs") or ()
    top = [_bare(one) for one in listed if one["logprob"] not in (None, float("-inf"))]
    top.sort(key=itemgetter("logprob"), reverse=True)
    return {**_bare(token), "top_logprobs": top}


def _bare(token: Any) -> dict[str, Any]:
    text, logprob = token["token"], token["logprob"]
    if not isinstance(text, str):
        raise TypeError
    return {"token": text, "logprob": float(logprob)}


def checked_url(url: str) -> str:
    """The address of an API, if it is one.

    Raises:
        UserError: no http(s) address, or one that holds a user, a password or options, which
            would end up in messages.
    """
    try:
        split = urlsplit(url)
        port_is_valid = split.port is None or split.port > 0
    except ValueError:
        split, port_is_valid = urlsplit(""), False
    if split.username or split.password or split.query or split.fragment:
        raise UserError(
            f"the address of the server at {split.hostname} holds more than host, port and path; "
            "an API key belongs into an environment variable"
        )
    if split.scheme not in ("http", "https") or not split.hostname or not port_is_valid:
        raise UserError(f"'{url}' is no address of a server, such as http://localhost:8000/v1")
    return url


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address (http_proxy, no_proxy and so on)."""
    split = urlsplit(url)
    if urllib.request.proxy_bypass(split.hostname or ""):
        return None
    return urllib.request.getproxies().get(split.scheme)


def retry_after(header: str | None) -> float:
    """Seconds that a `Retry-After` header asks to wait, as a number or as a date; 0: none.

    >>> retry_after("1.5"), retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), retry_after(None)
    (1.5, 0.0, 0.0)
    """
    text = (header or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):  # neither a number nor a date
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0


def redacted(message: object, key: str) -> str:
    """A server's or a library's message in one short line, without anything like an API key.

    >>> redacted('{"error": {"message": "too long,\\\\n sk-abc123 used"}}', key="")
    'too long, [key] used'
    """
    text = str(message)
    with suppress(ValueError, RecursionError):  # no JSON: the text as it is
        text = _message(json.loads(text)) or text
    if key:
        text = text.replace(key, "[key]")
    text = " ".join(_KEYS.sub("[key]", text).split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 3] + "..."


def without_key(raw: bytes, key: str) -> bytes:
    """A reply in which the API key, should the server repeat it, is not to be read."""
    return raw.replace(key.encode(), b"[key]") if len(key) >= _SHORTEST_KEY else raw


def _message(reply: object) -> str | None:
    """The words in one of the forms that servers give an error."""
    if isinstance(reply, dict):
        for name in ("error", "message", "detail"):
            found = reply.get(name)
            if isinstance(found, str):
                return found
            if isinstance(found, dict):
                return _message(found)
    return None


async def read_at_most(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body of a reply; of one longer than `limit` bytes somewhat more than `limit`."""
    chunks, size = [], 0
    async for chunk in reply.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(chunks)
