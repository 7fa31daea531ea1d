"""`ares benchmark`: how right and how long a model answers benchmarks, through any backend."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import pandas as pd

    from ares.answers.judge import ModelJudge
    from ares.backends.base import Decoding
    from ares.backends.choose import Choice
    from ares.backends.store import Store
    from ares.benchmarks.registry import Benchmark


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `benchmark`."""
    parser = commands.add_parser("benchmark", help="test any model on benchmarks")
    parser.add_argument("--list", action="store_true", help="print the benchmarks there are")
    parser.add_argument("--benchmarks", nargs="+", default=[], metavar="NAME")
    parser.add_argument(
        "--registry", nargs="+", default=[], metavar="FILE", help="benchmarks of your own"
    )
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="questions of each, spread over it; variants stay together",
    )
    _model_options(parser)
    _response_options(parser)
    judge = parser.add_argument_group("judge", "a model that grades what rules can't settle")
    judge.add_argument("--judge", metavar="MODEL")
    judge.add_argument("--judge-url", metavar="URL", help="of its server, ends in /v1")
    judge.add_argument("--judge-key-variable", default="OPENAI_API_KEY", metavar="NAME")
    _output_options(parser)
    parser.set_defaults(run=run)


def _model_options(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="MODEL", help="folder, name on the hub or on the server")
    model.add_argument("--name", metavar="NAME", help="of the model in the tables")
    model.add_argument(
        "--backend", default="vllm", metavar="KIND", help="vllm, server or transformers"
    )
    model.add_argument("--parallel", type=int, metavar="N", help="requests or prompts at a time")
    model.add_argument(
        "--revision", help="of a model on the hub; tells weights of one name on servers apart"
    )
    model.add_argument("--tensor-parallel", type=int, default=1, metavar="GPUS", help="vllm")
    model.add_argument("--max-model-len", type=int, metavar="TOKENS", help="vllm")
    model.add_argument(
        "--dtype",
        choices=("bfloat16", "float16", "float32"),
        help="of the weights, where the model runs in this process",
    )
    model.add_argument("--tokenizer", metavar="MODEL", help="counts the prompt tokens of a dry run")
    server = parser.add_argument_group("server", "an OpenAI-compatible one: --backend server")
    server.add_argument("--url", help="its address, ends in /v1")
    server.add_argument(
        "--key-variable",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable that holds the API key; the key itself is written nowhere",
    )
    server.add_argument("--attempts", type=int, default=6, metavar="N", help="per request")
    server.add_argument(
        "--wait", type=float, default=2.0, metavar="S", help="before the first retry; then doubled"
    )
    server.add_argument("--timeout", type=float, default=600.0, metavar="S", help="of an attempt")
    server.add_argument(
        "--extra-body",
        type=json.loads,
        default={},
        metavar="JSON",
        help="further fields of every request",
    )


def _response_options(parser: argparse.ArgumentParser) -> None:
    drawn = parser.add_argument_group("responses")
    drawn.add_argument("--samples", type=int, metavar="N", help="instead of the benchmark's own")
    drawn.add_argument("--temperature", type=float, default=1.0, metavar="T")
    drawn.add_argument("--top-p", type=float, default=1.0, metavar="P")
    drawn.add_argument("--top-k", type=int, default=0, metavar="K")
    drawn.add_argument("--max-tokens", type=int, default=16384, metavar="N")
    drawn.add_argument(
        "--top-logprobs", type=int, default=0, metavar="K", help="per token, for `ares analyze`"
    )
    drawn.add_argument("--seed", type=int, default=1, metavar="N")


def _output_options(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument_group("output")
    out.add_argument(
        "--store", metavar="FILE", help="answers are kept here and not asked for again"
    )
    out.add_argument("--scores-out", metavar="TABLE")
    out.add_argument("--responses-out", metavar="TABLE")
    out.add_argument("--traces-out", metavar="FILE", help="JSON Lines for `ares analyze`")
    out.add_argument(
        "--max-failures", type=int, default=0, metavar="N", help="more of them are an error"
    )
    out.add_argument(
        "--dry-run", action="store_true", help="count requests and tokens, ask nothing"
    )


def run(options: argparse.Namespace) -> None:
    """List the benchmarks, count what would be asked, or ask, grade and write the tables.

    Raises:
        UserError: unknown names, options that do not fit, too many requests without a response.
    """
    from ares.backends.base import Decoding
    from ares.backends.choose import Choice
    from ares.benchmarks.registry import REGISTRY, load_registry

    registry = load_registry(REGISTRY, *options.registry)
    if options.list:
        print_list(registry.values())
        return
    chosen = choose(options, registry)
    choice = Choice(
        kind=options.backend,
        model=options.model,
        url=options.url,
        parallel=options.parallel,
        key_variable=options.key_variable,
        revision=options.revision,
        tensor_parallel=options.tensor_parallel,
        max_model_len=options.max_model_len,
        dtype=options.dtype,
        attempts=options.attempts,
        wait_s=options.wait,
        timeout_s=options.timeout,
        extra_body=options.extra_body,
    )
    decoding = Decoding(
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        top_logprobs=options.top_logprobs,
    )
    act = count if options.dry_run else evaluate
    act(options, chosen, choice, decoding)


def choose(options: argparse.Namespace, registry: dict[str, Benchmark]) -> list[Benchmark]:
    """The benchmarks that the command line names.

    Raises:
        UserError: none, an unknown one, no model.
    """
    from ares.config import suggestion
    from ares.errors import UserError

    if not options.model or not options.benchmarks:
        raise UserError("--model and --benchmarks say what to test; --list shows the benchmarks")
    for name in options.benchmarks:
        if name not in registry:
            raise UserError(
                f"unknown benchmark '{name}'{suggestion(name, registry)}; --list shows them all"
            )
    return [registry[name] for name in options.benchmarks]


def print_list(benchmarks: Iterable[Benchmark]) -> None:
    """One line per benchmark."""
    for benchmark in benchmarks:
        level = benchmark.level or "-"
        print(f"{benchmark.name:<16} {benchmark.answer:<11} {benchmark.metric:<13} {level}")


def count(
    options: argparse.Namespace, chosen: list[Benchmark], choice: Choice, decoding: Decoding
) -> None:
    """Tell how many requests and tokens an evaluation would take, and ask nothing."""
    import pandas as pd

    from ares.backends.choose import open_backend
    from ares.backends.store import Kept, Store
    from ares.benchmarks.load import items
    from ares.benchmarks.run import Requests
    from ares.benchmarks.tokens import TokenCounter

    tokens = TokenCounter.of(options.tokenizer) if options.tokenizer else TokenCounter()
    rows = []
    with Store(store_file(options)) as store:
        backend = Kept(open_backend(choice), store)
        for benchmark in chosen:
            samples = options.samples or benchmark.samples
            found = items(benchmark, options.limit)
            requests = Requests(found, samples, decoding, options.seed)
            missing = [backend.key(request) not in store for request in requests]
            prompt = sum(tokens(asked.messages) for asked in compress(requests, missing))
            rows.append((benchmark.name, len(found), samples, sum(missing), prompt))
    columns = ["benchmark", "questions", "samples", "requests", "prompt tokens"]
    table = pd.DataFrame(rows, columns=columns)
    table["response tokens, at most"] = table["requests"] * decoding.max_tokens
    kept = int((table["questions"] * table["samples"] - table["requests"]).sum())
    print(table.to_string(index=False))
    print(
        f"{table['requests'].sum()} requests to ask, {kept} answers are in {store.path}; prompt "
        f"tokens {tokens.how}"
    )


def evaluate(
    options: argparse.Namespace, chosen: list[Benchmark], choice: Choice, decoding: Decoding
) -> None:
    """Ask, grade, write the tables, print the scores.

    Raises:
        UserError: more requests without a response than allowed; the tables are written all the
            same, and the next run asks for these requests only.
    """
    import pandas as pd

    from ares.answers.grader import Grader
    from ares.backends.choose import open_backend
    from ares.backends.store import Kept, Store
    from ares.benchmarks.load import items
    from ares.benchmarks.metrics import scores
    from ares.benchmarks.report import by_item, row, traces
    from ares.benchmarks.run import answered
    from ares.io import write_table

    tables, scored = [], []
    with (
        Store(store_file(options)) as store,
        Grader(judge=judge_of(options, store)) as grader,
        trace_file(options.traces_out) as write_trace,
    ):
        backend = Kept(open_backend(choice), store)
        for benchmark in chosen:
            found = items(benchmark, options.limit)
            rows: list[dict[str, Any]] = []
            for samples in by_item(
                answered(
                    found,
                    backend,
                    grader,
                    decoding,
                    options.samples or benchmark.samples,
                    options.seed,
                    progress=benchmark.name,
                )
            ):
                rows += map(row, samples)
                for line in traces(samples, benchmark.level):
                    write_trace(line)
            tables.append(pd.DataFrame(rows))
            scored.append(scores(tables[-1], benchmark).assign(source=" ".join(found.origins)))
    responses = pd.concat(tables, ignore_index=True)
    table = pd.concat(scored, ignore_index=True)
    for frame in (responses, table):
        frame.insert(0, "model", options.name or options.model)
    if options.responses_out:
        write_table(options.responses_out, responses)
    if options.scores_out:
        write_table(options.scores_out, table)
    print(told(table))
    report_failures(responses, options.max_failures)


def judge_of(options: argparse.Namespace, store: Store) -> ModelJudge | None:
    """The judge that the command line names; its verdicts are kept with the answers.

    Raises:
        UserError: half of a judge.
    """
    from ares.answers.judge import ModelJudge
    from ares.backends.server import ServerBackend
    from ares.backends.store import Kept
    from ares.errors import UserError

    if bool(options.judge) != bool(options.judge_url):
        raise UserError("--judge and --judge-url belong together: give both or neither")
    if not options.judge:
        return None
    server = ServerBackend(
        options.judge_url, options.judge, key_variable=options.judge_key_variable
    )
    return ModelJudge(Kept(server, store))


def store_file(options: argparse.Namespace) -> Path:
    """Where answers are kept: the file named, or one per model under results/benchmarks/."""
    from ares.paths import RESULTS

    if options.store:
        return Path(options.store)
    name = (options.name or options.model).strip("/").replace("/", "--")
    return RESULTS / "benchmarks" / f"{name}.sqlite"


@contextmanager
def trace_file(path: str | None) -> Iterator[Any]:
    """A function that writes one trace; what it wrote appears whole at the end, or not at all."""
    from ares.io import atomic_path

    if path is None:
        yield lambda trace: None
        return
    with atomic_path(path) as temporary:
        file: TextIO
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda trace: file.write(json.dumps(trace, ensure_ascii=False) + "\n")


def told(table: pd.DataFrame) -> str:
    """The scores as lines for the terminal."""
    shown = ["benchmark", "metric", "score", "ci_low", "ci_high", "n_items", "samples", "n_tokens"]
    return table[shown].to_string(index=False, float_format=lambda value: f"{value:.1f}")


def report_failures(responses: pd.DataFrame, allowed: int) -> None:
    """Print what has no response, and what could not be graded.

    Raises:
        UserError: more of the former than allowed.
    """
    from ares.errors import UserError

    for status, reason in (("ungradable", "note"), ("failed", "failure")):
        found = responses[responses["status"] == status]
        for line in found.head(10).itertuples():
            print(f"{status}: {line.benchmark}/{line.id}#{line.sample}: {getattr(line, reason)}")
        if len(found) > 10:
            print(f"... and {len(found) - 10} more {status}")
    failed = int((responses["status"] == "failed").sum())
    if failed > allowed:
        raise UserError(
            f"{failed} of {len(responses)} requests have no response; scores count them as not "
            "right; run again to ask for these only, or allow them with --max-failures"
        )
