"""Options that several commands have: type, bounds and help stand here once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from typer import Argument

RESPONSES, PLACE = "How responses are drawn", "Where the model runs"


def option(
    help: str,
    metavar: str | None = None,
    panel: str | None = None,
    name: str | None = None,
    **bounds: Any,
) -> Any:
    """An option that takes a value.

    Args:
        panel: of the help page; None for the first. name: unless it is the parameter's.
        bounds: `min`, `max`, `parser` of `typer.Option`.
    """
    names = () if name is None else (name,)
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel, **bounds)


def flag(name: str, help: str, panel: str | None = None) -> Any:
    """An option that is given or not."""
    return typer.Option(name, help=help, rich_help_panel=panel)


#: Number types of weights.
Dtype = Literal["float32", "bfloat16", "float16"]
Scale = Annotated[
    str, Argument(metavar="SCALE", help="a file of config/ without .yaml, or the path of another")
]
Config = Annotated[str, option("model, world and sampling", "SCALE")]
Samples = Annotated[int, option("responses", "N", RESPONSES, min=1)]
Temperature = Annotated[float, option("0 is greedy", "T", RESPONSES, min=0)]
TopP = Annotated[float, option("probability kept", "P", RESPONSES, min=0, max=1)]
TopK = Annotated[int, option("tokens kept; 0: all", "K", RESPONSES, min=0)]
Url = Annotated[str | None, option("of a server with the OpenAI API, ends in /v1", None, PLACE)]
KeyVariable = Annotated[
    str,
    option("environment variable that holds the API key, which is written nowhere", "NAME", PLACE),
]
Revision = Annotated[
    str | None,
    option(
        "branch, tag or commit on the hub; tells weights of one name on a server apart", None, PLACE
    ),
]
Weights = Annotated[
    Dtype | None, option("of the weights, where the model runs in this process", None, PLACE)
]
