"""`ares analyze`: entropy of any trace: tables, figures and a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from ares.cli.options import option
from ares.traces import Part, Threshold


def analyze(
    traces: Annotated[str, Argument(help="JSON Lines, gzipped or not; - for standard input")],
    out: Annotated[Path | None, option("default: in results/analysis/", "FOLDER")] = None,
    window: Annotated[int, option("over which entropy is averaged", "TOKENS", min=1)] = 4,
    percentile: Annotated[float, option("of windows, the threshold", "P", min=0, max=100)] = 95.0,
    threshold: Annotated[Threshold, option("its definition; see docs/traces.md")] = "batch",
    lexicon: Annotated[
        str | None, option("your list of reasoning triggers, .json or one word per line", "FILE")
    ] = None,
    font: Annotated[
        Path | None, option("of the word cloud; default: one that has the letters", "FILE")
    ] = None,
    part: Annotated[
        Part, option("of a response that is measured: up to </think>, or behind")
    ] = "all",
    drop_special: Annotated[
        bool, option("leave out <|im_end|> and the like", name="--drop-special")
    ] = False,
    strict: Annotated[
        bool, option("end at the first choice that can't be used", name="--strict")
    ] = False,
    page_traces: Annotated[int, option("traces on the page; 0: no page", "N", min=0)] = 200,
) -> None:
    """Measure entropy, windows and high-window-entropy (HWE) tokens of the responses in a file.

    docs/traces.md lists the formats it reads.
    """
    from ares.method.lexicon import load_lexicon
    from ares.traces.analyze import analyze
    from ares.traces.measure import Definition

    name = "stdin" if traces == "-" else Path(traces).name.split(".jsonl")[0]
    how = Definition(window, percentile, threshold)
    folder = out or Path("results/analysis") / name
    for line in analyze(
        traces, folder, how, load_lexicon(lexicon), page_traces, font, part, drop_special
    ):
        print(line)
