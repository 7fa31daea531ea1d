"""What the client needs to know about HTTP: addresses, proxies, statuses, and careful reading."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from contextlib import suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from ares.errors import UserError

#: What common API keys look like, as a server might repeat them.
_KEYS = re.compile(r"\b(?:sk|hf|gsk|xai|nvapi)[-_][\w*.-]+|(?<=Bearer )\S+|(?<=://)[^\s/@]+(?=@)")
#: Characters of a key from which on it is looked for in answers; "-" and "EMPTY" are no secrets.
_SHORTEST_KEY = 8
_LONGEST_MESSAGE = 300


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
