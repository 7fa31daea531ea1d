"""A real model behind the stub: an OpenAI-compatible server of a model folder."""

from __future__ import annotations

import base64
import io
import json

from PIL import Image

from ares.backends.base import Decoding, Request, Response
from ares.backends.local import LocalBackend
from tests.backends.stub import Answer, Body, Stub


def served_model(folder: str) -> Stub:
    """The server; use it as a context manager."""
    backend = LocalBackend(folder, batch=1)

    def answer(body: Body) -> Answer:
        decoding = Decoding(
            max_tokens=body["max_tokens"],
            temperature=body["temperature"],
            top_p=body["top_p"],
            # The stub sends records only where they are asked for; it wants some always.
            top_logprobs=max(body.get("top_logprobs", 0), 1),
        )
        request = Request("", messages_of(body), decoding, body["seed"])
        ((_, response),) = backend.generate([request])
        assert isinstance(response, Response), response
        return Answer(response.text, finish=response.finish, records=json.dumps(response.logprobs))

    return Stub(answer)


def messages_of(body: Body) -> list[dict]:
    """The chat messages of a request, its pictures opened."""
    return [
        {**message, "content": [_part(part) for part in message["content"]]}
        if not isinstance(message["content"], str)
        else message
        for message in body["messages"]
    ]


def _part(part: dict) -> dict:
    if part["type"] == "text":
        return part
    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return {"type": "image", "image": Image.open(io.BytesIO(data))}
