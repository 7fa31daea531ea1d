"""`ares analyze`: entropy of any trace: tables, figures and a page to read."""

from __future__ import annotations

import argparse

# A copy of `ares.traces.measure.THRESHOLDS`, whose import takes torch; a test compares them.
THRESHOLDS = ("batch", "main-text", "app-h", "released")


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `analyze`."""
    parser = commands.add_parser(
        "analyze",
        help="entropy of any trace: tables, figures and a page to read",
        description="Entropy, windows and high-window-entropy (HWE) tokens of the responses in a "
        "file, in any of the formats of docs/traces.md.",
    )
    parser.add_argument(
        "traces", metavar="TRACES", help=".jsonl or .jsonl.gz; - for standard input"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="default: results/analysis/ and the file's name"
    )
    parser.add_argument("--window", type=int, default=4, metavar="TOKENS")
    parser.add_argument("--percentile", type=float, default=95.0, metavar="P", help="0 to 100")
    parser.add_argument(
        "--threshold",
        choices=THRESHOLDS,
        default="batch",
        help="whose definition of the threshold; docs/traces.md tells them apart",
    )
    parser.add_argument(
        "--lexicon", metavar="FILE", help="reasoning triggers of your own, .json or a word a line"
    )
    parser.add_argument(
        "--page-traces", type=int, default=200, metavar="N", help="traces on the page; 0: no page"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure the traces of a file and write what comes of it.

    Raises:
        UserError: the file can't be read, or holds no trace.
    """
    from pathlib import Path

    from ares.method.lexicon import load_lexicon
    from ares.paths import RESULTS
    from ares.traces.analyze import analyze
    from ares.traces.measure import Definition

    name = "stdin" if options.traces == "-" else Path(options.traces).name.split(".jsonl")[0]
    how = Definition(options.window, options.percentile, options.threshold)
    folder = Path(options.out) if options.out else RESULTS / "analysis" / name
    for line in analyze(
        options.traces, folder, how, load_lexicon(options.lexicon), options.page_traces
    ):
        print(line)
