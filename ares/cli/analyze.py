"""`ares analyze`: entropy of any trace: tables, figures and a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option


def analyze(
    traces: Annotated[
        str, Argument(metavar="TRACES", help=".jsonl or .jsonl.gz; - for standard input")
    ],
    out: Annotated[
        Path | None, Option(metavar="FOLDER", help="default: results/analysis/ and the file's name")
    ] = None,
    window: Annotated[int, Option(min=1, metavar="TOKENS", help="over which entropy is meant")] = 4,
    percentile: Annotated[
        float, Option(min=0, max=100, metavar="P", help="of all windows, the threshold")
    ] = 95.0,
    threshold: Annotated[
        Literal["batch", "main-text", "app-h", "released"],
        Option(help="whose definition of the threshold; docs/traces.md tells them apart"),
    ] = "batch",
    lexicon: Annotated[
        str | None,
        Option(metavar="FILE", help="reasoning triggers of your own, .json or a word a line"),
    ] = None,
    page_traces: Annotated[
        int, Option(min=0, metavar="N", help="traces on the page; 0: no page")
    ] = 200,
) -> None:
    """Measure entropy, windows and high-window-entropy (HWE) tokens of the responses in a file.

    The formats that are read stand in docs/traces.md.
    """
    from ares.method.lexicon import load_lexicon
    from ares.paths import RESULTS
    from ares.traces.analyze import analyze
    from ares.traces.measure import Definition

    name = "stdin" if traces == "-" else Path(traces).name.split(".jsonl")[0]
    how = Definition(window, percentile, threshold)
    folder = out or RESULTS / "analysis" / name
    for line in analyze(traces, folder, how, load_lexicon(lexicon), page_traces):
        print(line)
