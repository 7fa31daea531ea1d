"""`ares infer`: put one question to any model and read what it answers, and how sure it was."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ares.backends import TEMPERATURE, TOP_P
from ares.cli import options
from ares.cli.options import drawn, option, place

if TYPE_CHECKING:
    from PIL import Image

    from ares.backends.base import Request, Response

shown = partial(option, panel="What is shown")
#: Most probable tokens that are asked for where they are kept or an entropy is estimated from them.
_RIVALS = 20
#: Response tokens by default; half the context of a model whose context is short.
_LIMIT = 8192

_Pictures = Annotated[
    list[Path] | None, option("may be repeated; <image> in the question marks its place", "FILE")
]
_Length = Annotated[
    int | None, drawn(f"of a response; default: {_LIMIT}, or half of a short context", "N", min=1)
]
_Entropy = Annotated[
    bool, shown("every token with its entropy, in colour on a terminal", name="--entropy")
]
_When = Literal["auto", "always", "never"]
_Device = Annotated[str | None, place("cpu, cuda, cuda:1; default: a GPU if there is one")]


def infer(
    model: Annotated[str, option("folder, name on the hub, or what the server calls it")],
    question: Annotated[str, option("'-' reads it from standard input", "TEXT")],
    image: _Pictures = None,
    prompt: Annotated[str | None, option("system prompt", "TEXT|FILE")] = None,
    samples: options.Samples = 1,
    temperature: options.Temperature = TEMPERATURE,
    top_p: options.TopP = TOP_P,
    top_k: options.TopK = 0,
    max_tokens: _Length = None,
    stop: Annotated[list[str] | None, drawn("ends a response; may be repeated", "TEXT")] = None,
    seed: Annotated[int, drawn("of the first response; then S + 1, ...", "S", min=0)] = 0,
    max_pixels: Annotated[int | None, option("shrink larger pictures", "PIXELS", min=784)] = None,
    entropy: _Entropy = False,
    window: Annotated[int, shown("with --entropy: mean of W tokens (eq. 4)", "W", min=1)] = 1,
    color: Annotated[_When, shown("NO_COLOR is heeded")] = "auto",
    json: Annotated[bool, shown("a line per response, for `ares analyze`", name="--json")] = False,
    url: options.Url = None,
    key_variable: options.KeyVariable = "OPENAI_API_KEY",
    device: _Device = None,
    dtype: options.Weights = None,
    revision: options.Revision = None,
    batch: Annotated[int, place("responses at a time", "N", min=1)] = 8,
) -> None:
    """Put one question, with pictures or without, to a model folder, a hub model or a server."""
    from ares.backends.base import Decoding, Failure, Request
    from ares.cli.colours import colours_wanted, legend
    from ares.errors import UserError, printable

    if window > 1 and not entropy:
        raise UserError("--window goes with --entropy: add that")
    if url and (device or dtype or revision):
        raise UserError(
            "--device, --dtype and --revision are the server's to choose: leave them out, or --url"
        )
    question = (sys.stdin.read() if question == "-" else question).strip()
    messages = _messages(question, [_picture(file, max_pixels) for file in image or ()], prompt)
    if url:
        from ares.backends.server import ServerBackend

        backend: Any = ServerBackend(url, model, key_variable=key_variable, parallel=batch)
        limit = _LIMIT
    else:
        from transformers.utils import logging

        from ares.backends.local import LocalBackend

        logging.disable_progress_bar()  # of the weights; it would mix with the answer
        backend = LocalBackend(model, batch=batch, device=device, dtype=dtype, revision=revision)
        limit = min(_LIMIT, backend.context // 2)
    # A model in this process gives exact entropies; of a server's an estimate is made.
    rivals = _RIVALS if json or (entropy and url) else int(entropy)
    sampling = temperature, top_p, top_k, rivals, tuple(stop or ())
    decoding = Decoding(max_tokens or limit, *sampling)
    name = _name(messages)
    asked = [Request(name, messages, decoding, seed + sample) for sample in range(samples)]
    coloured = colours_wanted(color, sys.stdout)
    if entropy and coloured and not json:
        print(legend("entropy" if window == 1 else f"mean entropy of {window} tokens"), end="\n\n")
    failed = 0
    for request, answer in backend.generate(asked):
        sample = request.seed - seed
        if isinstance(answer, Failure):
            failed += 1
            print(f"ares: response {sample + 1}: {printable(answer.reason)}", file=sys.stderr)
        elif json:
            print(_line(request, sample, answer, question, model), flush=True)
        else:
            print(_head(answer, sample, samples, request.seed))
            text = _tokens(answer, window, coloured) if entropy else printable(answer.full_text)
            print(text, end="\n\n", flush=True)
    if failed:
        raise UserError(f"{failed} of {samples} responses failed, see above")


def _messages(
    question: str, pictures: Sequence[Image.Image], prompt: str | None
) -> list[dict[str, Any]]:
    """The chat messages; pictures stand where the question marks them, or before it.

    prompt: a text, or a file that holds it.
    """
    import os

    from ares.backends.messages import MARKER, messages
    from ares.errors import UserError

    if not question:
        raise UserError("--question is empty: ask something")
    if prompt and os.path.isfile(prompt):  # (Path.is_file refuses a text too long for a name)
        try:
            prompt = Path(prompt).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--prompt {prompt}: not a readable text file ({error})") from None
    for marker in MARKER.finditer(question) if pictures else ():
        if marker[1] and not 1 <= int(marker[1]) <= len(pictures):
            raise UserError(
                f"--question marks a picture with {marker[0]} that is not there; give it with "
                "--image"
            )
    return messages(question, dict(enumerate(pictures, start=1)), "{question}", prompt or "")


def _picture(file: Path, most: int | None) -> Image.Image:
    from PIL import Image

    from ares.data.pictures import read_picture

    picture = read_picture(file)
    scale = (most / (picture.width * picture.height)) ** 0.5 if most else 1.0
    if scale >= 1:
        return picture
    size = max(int(picture.width * scale), 1), max(int(picture.height * scale), 1)
    return picture.resize(size, Image.Resampling.BICUBIC)


def _name(messages: list[dict[str, Any]]) -> str:
    """The id of a question, whatever the seed."""
    import hashlib

    from ares.backends.messages import digest, parts, pictures

    texts = [part["text"] for part in parts(messages) if part["type"] == "text"]
    known = "\0".join([*texts, *map(digest, pictures(messages))])
    return "q-" + hashlib.sha256(known.encode()).hexdigest()[:12]


def _line(request: Request, sample: int, answer: Response, question: str, model: str) -> str:
    """A response as a line of a trace file, in ASCII: nothing in it acts on a terminal."""
    from json import dumps

    return dumps(
        {
            "id": request.id,
            "benchmark": "infer",
            "sample": sample,
            "prompt": question,
            "correct": None,
            "difficulty": None,
            **answer.traced(),
            "model": model,
            "temperature": request.decoding.temperature,
            "seed": request.seed,
        }
    )


def _head(answer: Response, sample: int, samples: int, seed: int) -> str:
    """The line above a response."""
    parts = [f"{sample + 1} of {samples}", answer.finish]
    if answer.tokens is not None:
        parts.append(f"{answer.tokens} tokens")
    if answer.entropy:
        parts.append(f"mean entropy {sum(answer.entropy) / len(answer.entropy):.2f} nats")
    return f"[{', '.join(parts)}, seed {seed}]"


def _tokens(answer: Response, window: int, in_colour: bool) -> str:
    """A response token by token, with entropies."""
    from ares.analysis.tables import Tokens
    from ares.cli.colours import coloured, table
    from ares.errors import UserError
    from ares.traces.formats import Malformed
    from ares.traces.read import traces_of

    try:
        (trace,) = traces_of(answer.traced())
    except Malformed as error:
        raise UserError(f"--entropy: {error}; or run the model in this process") from None
    windows = Tokens.of_responses([trace.entropy]).windows(window).tolist()
    head = ""
    if (k := trace.top_k) is not None:
        head = f"[entropies at temperature 1, estimated from the {k} most probable tokens]\n"
    if in_colour:
        return head + coloured(trace.tokens, windows)
    columns = {"entropy": trace.entropy.tolist()} | ({"window": windows} if window > 1 else {})
    return head + "\n".join(table(trace.tokens, columns))
