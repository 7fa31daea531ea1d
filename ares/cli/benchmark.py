"""`ares benchmark`: how right and how long a model answers benchmarks, through any backend.

`ares countdown` writes the small world's problems as benchmarks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument

from ares.backends import ATTEMPTS, TEMPERATURE, TOP_P
from ares.cli.options import (
    PLACE,
    RESPONSES,
    Config,
    KeyVariable,
    Revision,
    Temperature,
    TopK,
    TopP,
    Url,
    Weights,
    flag,
    option,
)

if TYPE_CHECKING:
    import pandas as pd

    from ares.backends.store import CachedBackend, Store
    from ares.evaluation.registry import Benchmark

SERVER, JUDGE, OUTPUT = "Server, with --backend server", "Judge", "Output"


#: Of the command's own options, those whose help takes more than a line.
_Limit = Annotated[
    int | None, option("questions of each, spread over it, variants together", "N", min=1)
]
_Runner = Annotated[Literal["vllm", "server", "transformers"], option("what runs it", None, PLACE)]
_Parallel = Annotated[int | None, option("requests or prompts at a time", "N", PLACE, min=1)]
_Length = Annotated[int | None, option("of prompt and response (vllm)", "TOKENS", PLACE, min=1)]
_Wait = Annotated[float, option("before the first retry; then doubled", "S", SERVER, min=0)]
_Fields = Annotated[
    Any, option("further fields of every request", "JSON", SERVER, parser=json.loads)
]
_PerQuestion = Annotated[
    int | None,
    option("responses per question, instead of the benchmark's own", "N", RESPONSES, min=1),
]
_Rivals = Annotated[int, option("per token, for `ares analyze`", "K", RESPONSES, min=0)]
_JudgeKey = Annotated[str, option("as --key-variable", "NAME", JUDGE)]
_StoreFile = Annotated[
    Path | None,
    option("answers, not asked for again; default: in results/benchmarks/", "FILE", OUTPUT),
]
_Traces = Annotated[Path | None, option("JSON Lines for `ares analyze`", "FILE", OUTPUT)]
_Counting = Annotated[bool, flag("--dry-run", "count requests and tokens, ask nothing", OUTPUT)]


def benchmark(
    names: Annotated[list[str] | None, Argument(metavar="BENCHMARK", help="see --list")] = None,
    show: Annotated[bool, flag("--list", "print the benchmarks there are")] = False,
    registry: Annotated[list[Path] | None, option("your own; may be repeated", "FILE")] = None,
    limit: _Limit = None,
    model: Annotated[str, option("folder, name on the hub or on the server", None, PLACE)] = "",
    name: Annotated[str, option("of the model in the tables", None, PLACE)] = "",
    backend: _Runner = "vllm",
    parallel: _Parallel = None,
    revision: Revision = None,
    tensor_parallel: Annotated[int, option("that share it (vllm)", "GPUS", PLACE, min=1)] = 1,
    max_model_len: _Length = None,
    dtype: Weights = None,
    url: Url = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    attempts: Annotated[int, option("per request", "N", SERVER, min=1)] = ATTEMPTS,
    wait: _Wait = 2.0,
    timeout: Annotated[float, option("of an attempt", "S", SERVER, min=0)] = 600.0,
    extra_body: _Fields = "{}",
    samples: _PerQuestion = None,
    temperature: Temperature = TEMPERATURE,
    top_p: TopP = TOP_P,
    top_k: TopK = 0,
    max_tokens: Annotated[int, option("of a response", "N", RESPONSES, min=1)] = 16384,
    top_logprobs: _Rivals = 0,
    seed: Annotated[int, option("of the run", "N", RESPONSES)] = 1,
    judge: Annotated[str, option("that grades what rules can't settle", "MODEL", JUDGE)] = "",
    judge_url: Annotated[str, option("of its server, ends in /v1", "URL", JUDGE)] = "",
    judge_key_variable: _JudgeKey = "OPENAI_API_KEY",
    store: _StoreFile = None,
    scores_out: Annotated[Path | None, option("one row per metric", "TABLE", OUTPUT)] = None,
    responses_out: Annotated[Path | None, option("one row per response", "TABLE", OUTPUT)] = None,
    traces_out: _Traces = None,
    max_failures: Annotated[int, option("more of them are an error", "N", OUTPUT, min=0)] = 0,
    dry_run: _Counting = False,
    tokenizer: Annotated[str, option("counts tokens of a dry run", "MODEL", OUTPUT)] = "",
) -> None:
    """Test any model on benchmarks: ask, grade, write scores with intervals."""
    from ares.backends.base import Decoding, open_backend
    from ares.backends.store import CachedBackend, Store
    from ares.evaluation.registry import REGISTRY, load_registry
    from ares.io import write_table

    known = load_registry(REGISTRY, *(registry or ()))
    if show:
        for entry in known.values():
            print(f"{entry.name:<16} {entry.answer:<11} {entry.metric:<13} {entry.level or '-'}")
        return
    benchmarks = chosen(names or [], known, model)
    from ares.evaluation.evaluate import Plan

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
        judging = judge_of(judge, judge_url, judge_key_variable, answers)
        responses, scores = plan.carry_out(asked, judging, traces_out)
    for frame, path in ((responses, responses_out), (scores, scores_out)):
        frame.insert(0, "model", shown)
        if path:
            write_table(path, frame)
    columns = [
        "benchmark",
        "metric",
        "score",
        "ci_low",
        "ci_high",
        "n_items",
        "samples",
        "n_tokens",
    ]
    print(scores[columns].to_string(index=False, float_format=lambda value: f"{value:.1f}"))
    report_failures(responses, max_failures)


def countdown(
    out: Annotated[Path, option("receives questions and registry file", "FOLDER")],
    config: Config = "laptop",
    per_level: Annotated[
        int | None, option("problems, instead of the scale's own", "N", min=1)
    ] = None,
) -> None:
    """Write the small world's test problems as benchmarks."""
    from ares.config import load_config
    from ares.data.world_benchmark import NAMES, write_countdown
    from ares.data.world_settings import load_world

    scale = load_config(config, of_data_sets=False)
    registry = write_countdown(
        out,
        load_world(scale.world),
        scale.problems.levels,
        per_level or scale.evaluation.per_level,
        scale.seed,
    )
    print(f"wrote {registry}; ares benchmark --registry {registry}", *NAMES.values())


def chosen(names: list[str], known: dict[str, Benchmark], model: str) -> list[Benchmark]:
    """The benchmarks that the command line names; a UserError where it names none."""
    from ares.errors import UserError
    from ares.settings import suggestion

    if not model or not names:
        raise UserError("name benchmarks and a --model; --list shows the benchmarks there are")
    for name in names:
        if name not in known:
            raise UserError(
                f"unknown benchmark '{name}'{suggestion(name, known)}; --list shows them all"
            )
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
    server = ServerBackend(url, model, key_variable=key_variable)
    return CachedBackend(server, store)


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
