"""One request to an OpenAI-compatible chat endpoint; who calls decides on retries and caches."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any


def post(url: str, body: dict[str, Any], key_variable: str, timeout_s: float) -> bytes:
    """The reply to a chat completion request.

    Args:
        url: address of the API, for instance http://localhost:8000/v1.
        body: of the request.
        key_variable: environment variable that holds the API key (unset: no key is sent).
        timeout_s: seconds without an answer after which to give up.

    Raises:
        urllib.error.HTTPError, OSError, http.client.HTTPException: as urllib does.
    """
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(key_variable):
        headers["Authorization"] = f"Bearer {key}"
    address = url.rstrip("/") + "/chat/completions"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=timeout_s) as reply:
        return reply.read()


def may_pass(status: int) -> bool:
    """Whether an HTTP error can go away by itself: overload and server faults can.

    >>> [may_pass(status) for status in (401, 429, 503)]
    [False, True, True]
    """
    return status == 429 or status >= 500
