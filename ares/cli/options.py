"""Options that several commands have: type, bounds and help stand here once."""

from __future__ import annotations

from typing import Annotated, Literal

from typer import Argument, Option

RESPONSES, PLACE = "How responses are drawn", "Where the model runs"


#: Number types of weights.
Dtype = Literal["float32", "bfloat16", "float16"]
Scale = Annotated[
    str, Argument(metavar="SCALE", help="a file of config/ without .yaml, or the path of another")
]
Config = Annotated[str, Option(metavar="SCALE", help="model, world and sampling")]
Samples = Annotated[int, Option(min=1, metavar="N", help="responses", rich_help_panel=RESPONSES)]
Temperature = Annotated[
    float, Option(min=0, metavar="T", help="0 is greedy", rich_help_panel=RESPONSES)
]
TopP = Annotated[
    float,
    Option(
        "--top-p", min=0, max=1, metavar="P", help="probability kept", rich_help_panel=RESPONSES
    ),
]
TopK = Annotated[
    int,
    Option("--top-k", min=0, metavar="K", help="tokens kept; 0: all", rich_help_panel=RESPONSES),
]
Url = Annotated[
    str | None,
    Option("--url", help="of a server with the OpenAI API, ends in /v1", rich_help_panel=PLACE),
]
KeyVariable = Annotated[
    str,
    Option(
        metavar="NAME",
        help="environment variable that holds the API key; the key itself is written nowhere",
        rich_help_panel=PLACE,
    ),
]
Revision = Annotated[
    str | None,
    Option(
        help="of a model on the hub: branch, tag or commit; tells weights of one name on a server "
        "apart",
        rich_help_panel=PLACE,
    ),
]
Weights = Annotated[
    Dtype | None,
    Option(
        "--dtype",
        help="of the weights, where the model runs in this process",
        rich_help_panel=PLACE,
    ),
]
