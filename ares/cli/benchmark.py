"""`ares benchmark`: how right and how long a model answers benchmarks, through any backend.

`ares countdown` writes the small world's problems as benchmarks.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument

from ares.backends import ATTEMPTS, TEMPERATURE, TOP_P
from ares.cli import options
from ares.cli.options import drawn, option, place

if TYPE_CHECKING:
    import pandas as pd

    from ares.backends.store import CachedBackend, Store
    from ares.evaluation.registry import Benchmark

server = partial(option, panel="Server, with --backend server")
judging = partial(option, panel="Judge")
output = partial(option, panel="Output")

_Runner = Literal["vllm", "server", "transformers"]
_Fields = Annotated[Any, server("further fields of every request", "JSON", parser=json.loads)]
_StoreFile = Annotated[
    Path | None, output("answers, not asked for again; default: in results/benchmarks/", "FILE")
]


def benchmark(
    names: Annotated[list[str] | None, Argument(metavar="BENCHMARK", help="see --list")] = None,
    show: Annotated[bool, option("print the benchmarks there are", name="--list")] = False,
    registry: Annotated[list[Path] | None, option("your own; may be repeated", "FILE")] = None,
    limit: Annotated[int | None, option("questions of each, spread over it", "N", min=1)] = None,
    model: Annotated[str, place("folder, name on the hub or on the server")] = "",
    name: Annotated[str, place("of the model in the tables")] = "",
    backend: Annotated[_Runner, place("what runs it")] = "vllm",
    parallel: Annotated[int | None, place("requests or prompts at a time", "N", min=1)] = None,
    revision: options.Revision = None,
    tensor_parallel: Annotated[int, place("that share it (vllm)", "GPUS", min=1)] = 1,
    max_model_len: Annotated[int | None, place("of a sequence (vllm)", "TOKENS", min=1)] = None,
    dtype: options.Weights = None,
    url: options.Url = None,
    key_variable: options.KeyVariable = "OPENAI_API_KEY",
    attempts: Annotated[int, server("per request", "N", min=1)] = ATTEMPTS,
    wait: Annotated[float, server("before the first retry; then doubled", "S", min=0)] = 2.0,
    timeout: Annotated[float, server("of an attempt", "S", min=0)] = 600.0,
    extra_body: _Fields = "{}",
    samples: Annotated[int | None, drawn("instead of the benchmark's own", "N", min=1)] = None,
    temperature: options.Temperature = TEMPERATURE,
    top_p: options.TopP = TOP_P,
    top_k: options.TopK = 0,
    max_tokens: Annotated[int, drawn("of a response", "N", min=1)] = 16384,
    top_logprobs: Annotated[int, drawn("per token, for `ares analyze`", "K", min=0)] = 0,
    seed: Annotated[int, drawn("of the run", "N")] = 1,
    judge: Annotated[str, judging("that grades what rules can't settle", "MODEL")] = "",
    judge_url: Annotated[str, judging("of its server, ends in /v1", "URL")] = "",
    judge_key_variable: Annotated[str, judging("as --key-variable", "NAME")] = "OPENAI_API_KEY",
    store: _StoreFile = None,
    scores_out: Annotated[Path | None, output("one row per metric", "TABLE")] = None,
    responses_out: Annotated[Path | None, output("one row per response", "TABLE")] = None,
    traces_out: Annotated[Path | None, output("JSON Lines for `ares analyze`", "FILE")] = None,
    max_failures: Annotated[int, output("more of them are an error", "N", min=0)] = 0,
    dry_run: Annotated[bool, output("count requests and tokens", name="--dry-run")] = False,
    tokenizer: Annotated[str, output("counts tokens of a dry run", "MODEL")] = "",
) -> None:
    """Test any model on benchmarks: ask, grade, write scores with intervals."""
    from ares.evaluation.registry import REGISTRY, load_registry

    known = load_registry(REGISTRY, *(registry or ()))
    if show:
        for entry in known.values():
            print(f"{entry.name:<16} {entry.answer:<11} {entry.metric:<13} {entry.level or '-'}")
        return
    benchmarks = chosen(names or [], known, model)
    from ares.backends.base import Decoding, open_backend
    from ares.backends.store import CachedBackend, Store
    from ares.evaluation.evaluate import Plan
    from ares.io import write_table

    decoding = Decoding(max_tokens, temperature, top_p, top_k, top_logprobs)
    plan = Plan(benchmarks, limit, samples, decoding, seed)
    shown = name or model
    file = Path("results/benchmarks") / f"{shown.strip('/').replace('/', '--')}.sqlite"
    with Store(store or file) as answers:
        opened = open_backend(
            backend,
            model,
            url=url,
            parallel=parallel,
            revision=revision,
            dtype=dtype,
            tensor_parallel=tensor_parallel,
            max_model_len=max_model_len,
            key_variable=key_variable,
            attempts=attempts,
            wait_s=wait,
            timeout_s=timeout,
            extra_body=extra_body,
        )
        asked = CachedBackend(opened, answers)
        if dry_run:
            print(plan.cost(asked, tokenizer))
            return
        grading = judge_of(judge, judge_url, judge_key_variable, answers)
        responses, scores = plan.carry_out(asked, grading, traces_out)
    for frame, path in ((responses, responses_out), (scores, scores_out)):
        frame.insert(0, "model", shown)
        if path:
            write_table(path, frame)
    table = scores.loc[:, "benchmark":"n_tokens"].drop(columns="n_groups")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.1f}"))
    report_failures(responses, max_failures)


def countdown(
    out: Annotated[Path, option("receives questions and registry file", "FOLDER")],
    config: options.Config = "laptop",
    per_level: Annotated[int | None, option("instead of the scale's own", "N", min=1)] = None,
) -> None:
    """Write the small world's test problems as benchmarks."""
    from ares.config import load_config
    from ares.data.world import BENCHMARKS, write_countdown
    from ares.data.world_settings import load_world

    scale = load_config(config, of_data_sets=False)
    world, count = load_world(scale.world), per_level or scale.evaluation.per_level
    registry = write_countdown(out, world, scale.problems.levels, count, scale.seed)
    print(f"wrote {registry}; ares benchmark --registry {registry}", *BENCHMARKS.values())


def chosen(names: list[str], known: dict[str, Benchmark], model: str) -> list[Benchmark]:
    """The benchmarks that the command line names; a UserError where it names none."""
    from ares.errors import UserError
    from ares.settings import suggestion

    if not model or not names:
        raise UserError("name benchmarks and a --model; --list shows the benchmarks there are")
    for name in set(names) - known.keys():
        raise UserError(f"unknown benchmark '{name}'{suggestion(name, known)}; see --list")
    return [known[name] for name in names]


def judge_of(model: str, url: str, key_variable: str, store: Store) -> CachedBackend | None:
    """The judge that the command line names; its verdicts are kept with the answers."""
    from ares.backends.server import ServerBackend
    from ares.backends.store import CachedBackend
    from ares.errors import UserError

    if bool(model) != bool(url):
        raise UserError("--judge and --judge-url belong together: give both or neither")
    if not model:
        return None
    return CachedBackend(ServerBackend(url, model, key_variable=key_variable), store)


def report_failures(responses: pd.DataFrame, allowed: int) -> None:
    """Print what has no response, which is an error beyond `allowed`, and what was not graded."""
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
