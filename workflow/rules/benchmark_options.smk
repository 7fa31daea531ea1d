"""What `ares benchmark` is told, from the settings of a scale; no rules here."""

import shlex

if SCALE.analysis.model not in MODELS:
    sys.exit(
        f"ares: error: {CONFIG_FILE}: analysis.model: there is no model "
        f"'{SCALE.analysis.model}'; there are {', '.join(MODELS)}"
    )


def backend_options(model: str) -> str:
    """Return the options of `ares benchmark` that say which model answers, and how."""
    backend, evaluation = SCALE.backend, SCALE.evaluation
    given = {
        "--model": model_folder(model),
        "--name": model,
        "--backend": backend.kind,
        "--url": backend.url,
        "--parallel": backend.parallel,
        "--tensor-parallel": backend.tensor_parallel,
        "--key-variable": backend.key_variable,
        "--seed": SCALE.seed,
        "--temperature": evaluation.temperature,
        "--top-p": evaluation.top_p,
        "--max-tokens": evaluation.max_new_tokens,
        "--max-failures": evaluation.max_failures,
    }
    unset = ("--url", "--parallel")  # empty, or 0: the backend's own
    words = [str(w) for o, value in given.items() if value or o not in unset for w in (o, value)]
    registries = [word for file in SCALE.benchmarks for word in ("--registry", file)]
    return shlex.join(words + registries)


def tested_options(wildcards) -> str:
    """Return what `ares benchmark` is told about the model and the benchmark of a test."""
    limits = {"--limit": SCALE.evaluation.limit, "--samples": SCALE.evaluation.samples}
    words = [f"{option} {value}" for option, value in limits.items() if value]
    return " ".join([backend_options(wildcards.model), *words])


def analysed_options() -> str:
    """Return what `ares benchmark` is told about the model whose tokens are analysed."""
    analysis = SCALE.analysis
    return (
        f"{backend_options(analysis.model)} {' '.join(analysis.benchmarks)}"
        f" --limit {analysis.limit} --samples {analysis.samples}"
        f" --top-logprobs {analysis.top_logprobs}"
    )
