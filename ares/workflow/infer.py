"""`ares infer`: put one question to any model and read what it answers, and how sure it was."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from ares.backends.base import Backend, Request, Response

#: Most probable tokens that are asked for where they are kept or an entropy is estimated from them.
_RIVALS = 20
#: Response tokens unless told; half the context of a model whose context is short.
_LIMIT = 8192


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `infer`."""
    parser = commands.add_parser(
        "infer",
        help="put one question to any model, with pictures or without",
        description="Put one question to a model folder, a model of the hub or a server.",
    )
    parser.add_argument(
        "--model", required=True, help="folder, name on the hub, or what the server calls it"
    )
    parser.add_argument("--question", required=True, metavar="TEXT", help="'-' reads it from stdin")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="FILE",
        help="repeat for several; <image> in the question marks where one belongs",
    )
    parser.add_argument("--prompt", metavar="TEXT|FILE", help="system prompt")
    parser.add_argument("--samples", type=int, default=1, metavar="N")
    drawn = parser.add_argument_group("how responses are drawn")
    drawn.add_argument("--temperature", type=float, default=1.0, metavar="T", help="0 is greedy")
    drawn.add_argument("--top-p", type=float, default=1.0, metavar="P")
    drawn.add_argument("--top-k", type=int, default=0, metavar="K", help="0 is no limit")
    drawn.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help=f"of a response (default: {_LIMIT}, or half the context of a model with a short one)",
    )
    drawn.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="ends a response"
    )
    drawn.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the first response; then S + 1, ..."
    )
    drawn.add_argument(
        "--max-pixels", type=int, metavar="N", help="shrink larger pictures to this many pixels"
    )
    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--entropy",
        action="store_true",
        help="every token with its entropy: as a colour on a terminal, as a number in a table else",
    )
    shown.add_argument(
        "--window",
        type=int,
        default=1,
        metavar="W",
        help="with --entropy: mean of W tokens (eq. 4)",
    )
    shown.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="NO_COLOR is heeded"
    )
    shown.add_argument(
        "--json", action="store_true", help="one line per response, as `ares analyze` reads them"
    )
    place = parser.add_argument_group("where the model runs")
    place.add_argument("--url", help="of a server with the OpenAI API, ends in /v1")
    place.add_argument(
        "--key-variable",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable that holds the API key; the key itself is written nowhere",
    )
    place.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    place.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="(default: float32 on a CPU, else bfloat16)",
    )
    place.add_argument("--revision", help="of a model on the hub: branch, tag or commit")
    place.add_argument("--batch", type=int, default=8, metavar="N", help="responses at a time")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the responses as they come.

    Raises:
        UserError: impossible options, an unreadable picture, a model that can't be asked, or that
            failed to answer.
    """
    import sys

    from ares.backends.base import Failure
    from ares.errors import UserError

    _check(options)
    messages = _messages(options)
    backend = _backend(options)
    failed = 0
    if options.entropy and not options.json:
        _print_legend(options)
    for request, answer in backend.generate(_requests(options, backend, messages)):
        sample = request.seed - options.seed
        if isinstance(answer, Failure):
            from ares.terminal import printable

            failed += 1
            print(f"ares: response {sample + 1}: {printable(answer.reason)}", file=sys.stderr)
        elif options.json:
            print(_line(request, sample, answer, options), flush=True)
        else:
            _print(sample, answer, options)
    if failed:
        raise UserError(f"{failed} of {options.samples} responses failed, see above")


def _check(options: argparse.Namespace) -> None:
    from ares.errors import UserError

    wrong = [
        (options.samples < 1, f"--samples {options.samples}: ask for at least one"),
        (options.window < 1, f"--window {options.window}: a window holds at least one token"),
        (options.window > 1 and not options.entropy, "--window goes with --entropy: add that"),
        (options.seed < 0, f"--seed {options.seed}: seeds are integers from 0 on"),
        (options.batch < 1, f"--batch {options.batch}: at least one response at a time"),
        (not options.temperature >= 0, f"--temperature {options.temperature}: 0 or more"),
        (not 0 < options.top_p <= 1, f"--top-p {options.top_p}: it lies in (0, 1]"),
        (options.top_k < 0, f"--top-k {options.top_k}: 0 (no limit) or more"),
        (options.max_tokens is not None and options.max_tokens < 1, "--max-tokens: at least 1"),
        (options.max_pixels is not None and options.max_pixels < 784, "--max-pixels: at least 784"),
        ("" in options.stop, "--stop: an empty text would end every response at once"),
        (
            options.url and (options.device or options.dtype or options.revision),
            "--device, --dtype and --revision are the server's to choose: leave them out, or --url",
        ),
    ]
    for is_so, message in wrong:
        if is_so:
            raise UserError(message)


def _messages(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The chat messages; pictures stand where the question marks them, or before it."""
    import sys
    from pathlib import Path

    from ares.benchmarks.prompts import messages
    from ares.errors import UserError

    if options.question == "-":
        options.question = sys.stdin.read()
    question = options.question.strip()
    if not question:
        raise UserError("--question is empty: ask something")
    shown = [_picture(Path(file), options.max_pixels) for file in options.image]
    system = "" if options.prompt is None else _text_or_file(options.prompt)
    try:
        return messages(question, dict(enumerate(shown, start=1)), "{question}", system)
    except ValueError as error:
        raise UserError(f"--question: {error}; give it with --image") from None


def _text_or_file(given: str) -> str:
    """A text as it is, or what a file of that name holds."""
    import os
    from pathlib import Path

    from ares.errors import UserError

    if not os.path.isfile(given):
        return given
    try:
        return Path(given).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--prompt {given}: not a readable text file ({error})") from None


def _picture(file, most: int | None) -> Image.Image:
    from PIL import Image

    from ares.errors import UserError
    from ares.world.cards import read_picture

    if not file.is_file():
        raise UserError(f"--image {file}: no such picture")
    picture = read_picture(file.read_bytes(), str(file))
    if most is None or picture.width * picture.height <= most:
        return picture
    scale = (most / (picture.width * picture.height)) ** 0.5
    size = max(int(picture.width * scale), 1), max(int(picture.height * scale), 1)
    return picture.resize(size, Image.Resampling.BICUBIC)


def _backend(options: argparse.Namespace) -> Backend:
    if options.url:
        from ares.backends.server import ServerBackend

        return ServerBackend(
            options.url,
            options.model,
            key_variable=options.key_variable,
            parallel=options.batch,
        )
    from transformers.utils import logging

    from ares.backends.local import LocalBackend

    logging.disable_progress_bar()  # of the weights; it would mix with the answer
    return LocalBackend(
        options.model,
        batch=options.batch,
        device=options.device,
        dtype=options.dtype,
        revision=options.revision,
    )


def _requests(options: argparse.Namespace, backend: Backend, messages: list) -> list[Request]:
    """One request per response; the id is that of the question, whatever the seed."""
    import hashlib

    from ares.backends.base import Decoding, Request
    from ares.backends.local import LocalBackend
    from ares.backends.messages import digest, parts, pictures

    # A model in this process gives exact entropies; of a server's an estimate is made.
    local = isinstance(backend, LocalBackend)
    rivals = _RIVALS if options.json or (options.entropy and not local) else int(options.entropy)
    context = backend.context if isinstance(backend, LocalBackend) else 2 * _LIMIT
    decoding = Decoding(
        max_tokens=options.max_tokens or min(_LIMIT, context // 2),
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        top_logprobs=rivals,
        stop=tuple(options.stop),
    )
    texts = [part["text"] for part in parts(messages) if part["type"] == "text"]
    known = "\0".join([*texts, *map(digest, pictures(messages))])
    name = "q-" + hashlib.sha256(known.encode()).hexdigest()[:12]
    return [
        Request(name, messages, decoding, options.seed + sample)
        for sample in range(options.samples)
    ]


def _line(request: Request, sample: int, answer: Response, options: argparse.Namespace) -> str:
    """A response as a line of a trace file, in ASCII: nothing in it acts on a terminal."""
    import json

    logprobs = None if answer.logprobs is None else {"content": answer.logprobs}
    return json.dumps(
        {
            "id": request.id,
            "benchmark": "infer",
            "sample": sample,
            "prompt": options.question,
            "text": answer.full_text,
            "finish": answer.finish,
            "n_tokens": answer.tokens,
            "correct": None,
            "difficulty": None,
            "logprobs": logprobs,
            "entropy": answer.entropy,
            "model": options.model,
            "temperature": options.temperature,
            "seed": request.seed,
        }
    )


def _print(sample: int, answer: Response, options: argparse.Namespace) -> None:
    """A response for a person to read."""
    import sys

    from ares.backends.uncertainty import token_entropies, window_entropies
    from ares.terminal import coloured, colours_wanted, printable, table

    told = [f"{sample + 1} of {options.samples}", answer.finish]
    if answer.tokens is not None:
        told.append(f"{answer.tokens} tokens")
    if answer.entropy:
        told.append(f"mean entropy {sum(answer.entropy) / len(answer.entropy):.2f} nats")
    print(f"[{', '.join(told)}, seed {options.seed + sample}]")
    if not options.entropy:
        print(printable(answer.full_text), end="\n\n", flush=True)
        return
    tokens, values, listed = token_entropies(answer)
    if listed:
        print(f"[entropies at temperature 1, estimated from the {listed} most probable tokens]")
    windows = window_entropies(values, options.window)
    if colours_wanted(options.color, sys.stdout):
        print(coloured(tokens, windows), end="\n\n", flush=True)
        return
    columns = {"entropy": values} | ({"window": windows} if options.window > 1 else {})
    print("\n".join(table(tokens, columns)), end="\n\n", flush=True)


def _print_legend(options: argparse.Namespace) -> None:
    import sys

    from ares.terminal import colours_wanted, legend

    if colours_wanted(options.color, sys.stdout):
        name = "entropy" if options.window == 1 else f"mean entropy of {options.window} tokens"
        print(legend(name), end="\n\n")
