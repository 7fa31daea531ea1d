"""What the rules of scales with real models share; no rules here."""

import re
import shlex

COLD_START = SCALE["cold_start"]
EVALUATION = SCALE["evaluation"]
ANALYSIS = SCALE["analysis"]
BACKEND = SCALE["backend"]
LAUNCH = SCALE["launch"]
GPUS = SCALE["gpus"]

# Registry files that name data sets and benchmarks; the loaders read what they name.
REGISTRIES = {
    "training": SCALE["training_data"],
    "benchmarks": ["config/benchmarks.yaml", *SCALE["benchmarks"]],
}
# Tables that the manifest lists by hash.
PAPER_TABLES = (
    *("problems/cold-start", "problems/aepo", "pass_rates", "pool", "selection"),
    *(f"losses/{curation}" for curation in CURATIONS),
    *("steps", "timings", "scores"),
)
SHARDS = list(range(COLD_START["shards"]))
# The notebook that sets our scores beside the paper's.
NOTEBOOK = "11_benchmarks"

if ANALYSIS["model"] not in MODELS:
    sys.exit(
        f"ares: error: {CONFIG_FILE}: analysis.model: there is no model '{ANALYSIS['model']}'; "
        f"there are {', '.join(MODELS)}"
    )


def base_files() -> list[str]:
    """Return the files of the model that everything starts from; none for a name on the hub."""
    files = [path for path in Path(SCALE["model"]).glob("*") if path.is_file()]
    return sorted(str(path) for path in files if path.suffix != ".md")


def files_of(name: str) -> list[str]:
    """Return the inputs that stand for a model: a folder that the workflow makes, or files."""
    return base_files() if name == "base" else [model_folder(name)]


def first_files(wildcards) -> list[str]:
    """Return what an arm's first model consists of, as inputs."""
    return files_of(start_of(wildcards.arm))


def tested_files(wildcards) -> list[str]:
    """Return what the model that is tested consists of, as inputs."""
    return files_of(wildcards.model)


def backend_options(model: str, name: str) -> str:
    """Return the options of `ares benchmark` that say which model answers, and how."""
    given = {
        "--model": model,
        "--name": name,
        "--backend": BACKEND["kind"],
        "--tensor-parallel": BACKEND["tensor_parallel"],
        "--key-variable": BACKEND["key_variable"],
        "--seed": SCALE["seed"],
        "--temperature": EVALUATION["temperature"],
        "--top-p": EVALUATION["top_p"],
        "--max-tokens": EVALUATION["max_new_tokens"],
        "--max-failures": EVALUATION["max_failures"],
    }
    if BACKEND["url"]:
        given["--url"] = BACKEND["url"]
    if BACKEND["parallel"]:
        given["--parallel"] = BACKEND["parallel"]
    words = [word for option, value in given.items() for word in (option, str(value))]
    registries = [word for file in SCALE["benchmarks"] for word in ("--registry", file)]
    return shlex.join(words + registries)


def tested_options(wildcards) -> str:
    """Return what `ares benchmark` is told about the model and the benchmark of a test."""
    limits = {"--limit": EVALUATION["limit"], "--samples": EVALUATION["samples"]}
    words = [f"{option} {value}" for option, value in limits.items() if value]
    return " ".join([backend_options(model_folder(wildcards.model), wildcards.model), *words])


def analysed_options(wildcards) -> str:
    """Return what `ares benchmark` is told about the model whose tokens are analysed."""
    name = ANALYSIS["model"]
    return (
        f"{backend_options(model_folder(name), name)}"
        f" {' '.join(ANALYSIS['benchmarks'])} --limit {ANALYSIS['limit']}"
        f" --samples {ANALYSIS['samples']} --top-logprobs {ANALYSIS['top_logprobs']}"
    )


def paper_arm_settings(wildcards) -> str:
    """Return the parts of the config that a run of an arm depends on, as JSON.

    Not among them: the other arms, the arm's list of seeds, how often a state is kept, and what
    decides about time alone.
    """
    aside = {"arms", "checkpoint_every", "vllm"}
    sizes = SCALE.aepo.model_dump(mode="json", exclude=aside)
    arm = ARMS[wildcards.arm].model_dump(mode="json", exclude={"seeds"})
    drawn = {"vllm": SCALE.aepo.vllm.model_dump(include={"mode", "importance"})}
    return settings("seed", "model", "gpus.training", aepo=sizes | drawn, arm=arm)


def sft_settings() -> str:
    """Return the parts of the config that fine-tuning depends on, as JSON."""
    sizes = COLD_START.sft.model_dump(exclude={"checkpoint_every"})
    return settings("seed", "model", "gpus.training", sft=sizes)


def of_cold_start() -> str:
    """Return the parts of the config that the cold starts depend on, as JSON."""
    asked = COLD_START.model_dump(mode="json", exclude={"sft"})
    return settings("seed", "model", cold_start=asked) + sft_settings()


def digest(text: str) -> str:
    """Return a short name for settings: an interrupted run goes on under the same ones only."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def sft_state(wildcards) -> str:
    """Return where an interrupted fine-tuning keeps its state."""
    return f"{RESULTS}/states/{wildcards.curation}-{digest(of_cold_start())}"


def train_state(wildcards) -> str:
    """Return where an interrupted run of an arm keeps its state; see `state_folder`."""
    before = "" if start_of(wildcards.arm) == "base" else of_cold_start()
    name = f"{wildcards.arm}-s{wildcards.seed}"
    return f"{RESULTS}/states/{name}-{digest(paper_arm_settings(wildcards) + before)}"


def paper_notebook_parameters(wildcards) -> str:
    """Return the parameters of the notebook of benchmarks, as JSON: those of its rule, and ours."""
    ours = {"measured": "scores", "size": SCALE["size"]}
    return json.dumps({**json.loads(notebook_parameters(NOTEBOOK)), **ours})
