"""Options that several commands have: type, bounds and help stand here once."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import typer
from typer import Argument


def option(
    help: str,
    metavar: str | None = None,
    name: str | None = None,
    panel: str | None = None,
    **more: Any,
) -> Any:
    """An option.

    Args:
        name: unless it is the parameter's; a flag has one, so that it gets no --no-FLAG.
        panel: of the help page; None for the first.
        more: `min`, `max`, `parser` of `typer.Option`.
    """
    names = () if name is None else (name,)
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel, **more)


drawn = partial(option, panel="How responses are drawn")
place = partial(option, panel="Where the model runs")

#: Number types of weights.
Dtype = Literal["float32", "bfloat16", "float16"]
Scale = Annotated[
    str, Argument(metavar="SCALE", help="a file of config/ without .yaml, or the path of another")
]
Config = Annotated[str, option("model, world and sampling", "SCALE")]
Samples = Annotated[int, drawn("responses", "N", min=1)]
Temperature = Annotated[float, drawn("0 is greedy", "T", min=0)]
TopP = Annotated[float, drawn("probability kept", "P", min=0, max=1)]
TopK = Annotated[int, drawn("tokens kept; 0: all", "K", min=0)]
Url = Annotated[str | None, place("of a server with the OpenAI API, ends in /v1")]
KeyVariable = Annotated[
    str, place("environment variable that holds the API key, which is written nowhere", "NAME")
]
Revision = Annotated[
    str | None,
    place("branch, tag or commit on the hub; tells weights of one name on a server apart"),
]
Weights = Annotated[Dtype | None, place("of the weights, where the model runs in this process")]
