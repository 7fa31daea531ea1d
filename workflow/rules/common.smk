"""The config of the run and the helpers of the rules; no rules here.

A scale's material is the small world, or data sets of problems for real models. The same rules make
both; what differs is said here: the files that the material stands in, and what launches a job.
"""

import ast
import hashlib
import json
import os
import re
import shlex
import sys
from dataclasses import asdict
from functools import cache, reduce
from pathlib import Path

from snakemake.exceptions import WorkflowError

from ares.data.world_settings import load_world
from ares.model.base_settings import load_base_config
from ares.config import CURATIONS, Gpus, Launch, Scale, config_path, load_config
from ares.errors import UserError
from ares.tables import tables_of
from ares.locks import end_jobs, job_prefix, owner, take
from ares.method.presets import FILE, preset
from ares.settings import read_yaml

# One thread per job: jobs run side by side, and sums come out the same on every machine.
# A fixed date makes the bytes of a PDF repeatable. Jobs find the commands of this very Python.
os.environ.update(
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    SOURCE_DATE_EPOCH="1759968000",
    TQDM_MININTERVAL="5",
    # The kernel of this very Python, whatever else Jupyter would find.
    JUPYTER_PREFER_ENV_PATH="1",
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
)
os.environ.pop("JUPYTER_PATH", None)


def chosen_config() -> tuple[str, Scale]:
    """Return the file and the content of the config that `--config scale=...` chose.

    A mistake there ends Snakemake with one line, as it ends `ares`.
    """
    unknown = sorted(set(config) - {"scale"})
    if unknown:
        sys.exit(
            f"ares: error: --config {unknown[0]}=...: only scale can be given there; other values "
            "belong into a config file: --config scale=path/to/file.yaml"
        )
    try:
        path = config_path(config.setdefault("scale", "laptop"))
        return os.path.relpath(path), load_config(path)
    except UserError as error:
        sys.exit(f"ares: error: {error}")


CONFIG_FILE, SCALE = chosen_config()
RESULTS = f"results/{SCALE.scale}"
FIGURES = f"figures/{SCALE.scale}"
NOTEBOOKS = read_yaml(Path("workflow/notebooks.yaml"))

# All that depends on the material: the files that it stands in (data sets: registries, the loaders
# read what they name), what launches a job and what it takes, the notebooks that follow, with their
# tables and figures, and whether findings are judged. What the files say is in the parameters of
# rules (`settings`), and their age does not count: another comment makes nothing out of date.
if SCALE.of_data_sets:
    MATERIAL = ancient([*SCALE.training_data])
    TESTED = ancient(["config/benchmarks.yaml", *SCALE.benchmarks])
    LAUNCH, GPUS, THREADS = SCALE.launch, SCALE.gpus, {"training": 8, "sampling": 4}
    NOTEBOOKS = {
        name: {**spec, **spec["data_sets"]}
        for name, spec in NOTEBOOKS.items()
        if "data_sets" in spec
    }
    FINDINGS, REPORT = [], []
else:
    # Jobs run as they are, on one GPU where there is one.
    MATERIAL, TESTED = ancient([SCALE.world]), []
    LAUNCH, GPUS = Launch(training="python -m", sampling="python -m"), Gpus(training=1, sampling=1)
    THREADS = {"training": 1, "sampling": 1}
    FINDINGS, REPORT = [f"{RESULTS}/findings.csv"], [f"{RESULTS}/report"]

# Folder of a base model -> the config that makes it.
BASES = {f"results/{path.stem}": str(path) for path in sorted(Path("config").glob("base*.yaml"))}

# One workflow at a time makes the results of a scale; other scales may run beside it. Snakemake's
# own lock is off (profiles/default): it outlives a killed run, and the first of several runs that
# ends removes the locks of all. Every job shares a lock of its own kind, see `start_alone`.
WORKFLOW_LOCK = os.path.abspath(f"{RESULTS}/.workflow.lock")
JOBS_LOCK = os.path.abspath(f"{RESULTS}/.jobs.lock")
# Who makes the results while this run looks at what is there: then it would plan on sand.
BEFORE = owner(WORKFLOW_LOCK)
shell.prefix(job_prefix(JOBS_LOCK))
# Snakemake takes a records folder without this one for that of an old version, which it migrates,
# and two first runs at the same time would do so together.
os.makedirs(".snakemake/incomplete", exist_ok=True)


onstart:
    # Not run by a dry run, --lint, --report, --unlock and by the jobs themselves.
    start_alone()


def start_alone() -> None:
    """Take the locks of all that this run makes, end what a killed run left, clear away its halves.

    The locks are held until this process ends, and a mistake ends it with one line.
    """
    from ares.io import sweep
    from ares.io import check_results

    busy = f"{RESULTS}: {{owner}} is making the results of this scale; wait for it, or end it"
    own = (f"{RESULTS}/", f"{FIGURES}/")
    made = {str(file) for job in workflow.dag.needrun_jobs() for file in job.output}
    try:
        take(WORKFLOW_LOCK, busy)
        if BEFORE is not None:
            raise UserError(f"{RESULTS}: {BEFORE} was at work until just now; start again")
        for file in sorted(file for file in made if not file.startswith(own)):
            # A base model, which several scales may start from.
            take(f"{file}.lock", f"{file}: {{owner}} is making it; start again when it is there")
        end_jobs(JOBS_LOCK, lambda line: print(f"ares: {line}", file=sys.stderr, flush=True))
        for folder in (RESULTS, FIGURES):
            sweep(folder)
        check_results(RESULTS)
    except UserError as error:
        sys.exit(f"ares: error: {error}")


# Every model is tested; its arm and seed stand in the rows of its test.
ARMS, RUNS, MODELS = SCALE.aepo.arms, SCALE.runs, SCALE.models
# The tables that a scale makes; those that every run writes.
TABLES = tables_of(SCALE.material)
RUN_TABLES = [table for table, form in TABLES.items() if form.parts == "runs"]


@cache
def said(*files: str) -> str:
    """Return a digest of what YAML files say, whatever their comments."""
    return digest(json.dumps([read_yaml(Path(file)) for file in files]))


def settings(*keys: str, **others: object) -> str:
    """Return the parts of the config that a rule depends on, as JSON.

    Rules take this as a parameter, and the config file itself not as an input: Snakemake then runs
    a rule again when a value it reads has changed, and only then. Left out is what cannot change
    a result but by rounding: how many prompts share a batch in a validation or for pass rates.

    keys: of the config; a dot leads into a section; None stands for what the material lacks. For
    `world` the files of the material are read, for `tested` the registries of benchmarks.
    others: values of other names.
    """
    plain = SCALE.dump() | {"world": said(*MATERIAL), "tested": said(*TESTED)}
    named = {
        key: reduce(lambda part, name: (part or {}).get(name), key.split("."), plain)
        for key in keys
    }
    return json.dumps({**named, **others})


def model_folder(name: str) -> str:
    """Return where a model is, by its name in MODELS; the base model's may be one on the hub."""
    return SCALE.model if name == "base" else f"{RESULTS}/models/{name}"


def files_of_model(name: str) -> list[str]:
    """Return the inputs that stand for a model: a folder that the workflow makes, or files.

    A model on the hub has none. A base model that a rule trains is there only later.
    """
    folder = model_folder(name)
    if name != "base" or folder in BASES:
        return [folder]
    files = [path for path in Path(folder).glob("*") if path.is_file()]
    return sorted(str(path) for path in files if path.suffix != ".md")


def start_of(wildcards) -> str:
    """Return the name of the model that an arm's training starts from."""
    return ARMS[wildcards.arm].start


def arm_settings(wildcards) -> str:
    """Return what a run of an arm depends on, as JSON: the resolved settings of the method, too.

    Not among them: the other arms, the list of seeds, how often a state is kept, and what decides
    about time alone.
    """
    sizes = SCALE.aepo.model_dump(mode="json", exclude={"arms", "checkpoint_every", "vllm"})
    return settings(
        *("seed", "world", "model", "problems.levels", "problems.presentations", "gpus.training"),
        aepo=sizes,
        vllm=SCALE.aepo.vllm.model_dump(include={"mode", "importance"}),
        start=start_of(wildcards),
        preset=asdict(SCALE.aepo.settings_of(wildcards.arm)),
    )


def sft_settings() -> str:
    """Return what fine-tuning depends on, as JSON."""
    sizes = SCALE.cold_start.sft.model_dump(exclude={"checkpoint_every"})
    return settings("seed", "world", "model", "gpus.training", sft=sizes)


def of_cold_start() -> str:
    """Return what the models of the cold start depend on, as JSON."""
    asked = SCALE.cold_start.model_dump(mode="json", exclude={"sft"})
    return settings("seed", "model", cold_start=asked) + sft_settings()


def sft_state(wildcards) -> str:
    """Return where an interrupted fine-tuning keeps its state: a folder per settings."""
    return f"{RESULTS}/states/{wildcards.curation}-{digest(of_cold_start())}"


def train_state(wildcards) -> str:
    """Return where an interrupted run keeps its state: a folder of its own for other settings.

    The settings of the cold start count where a run starts from one: it must not go on from the
    state of a run that started from another model.
    """
    before = "" if start_of(wildcards) == "base" else of_cold_start()
    name = f"{wildcards.arm}-s{wildcards.seed}"
    return f"{RESULTS}/states/{name}-{digest(arm_settings(wildcards) + before)}"


def digest(text: str) -> str:
    """Return a short name for settings: an interrupted run goes on under the same ones only."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parts_of(table: str, kind: str) -> list[str]:
    """Return the files that a table is joined from: of its shards, of all runs, of all models."""
    if kind == "shards":
        section = getattr(SCALE, table, SCALE.cold_start)  # rollouts and causal labels have theirs
        return [f"{RESULTS}/{table}/{shard}.parquet" for shard in range(section.shards)]
    if kind == "runs":
        return [f"{RESULTS}/runs/{run}/{table}.parquet" for run in RUNS]
    tests = SCALE.evaluation.benchmarks
    tested = [f"{model}/{test}" for model in MODELS for test in tests] or MODELS
    return [f"{RESULTS}/{table}/{name}.parquet" for name in tested]


def benchmark_options(wildcards) -> str:
    """Return what `ares benchmark` is told about the model, who runs it, and its responses."""
    backend, evaluation = SCALE.backend, SCALE.evaluation
    given = {
        "--model": model_folder(wildcards.model),
        "--name": wildcards.model,
        # The package's own sampler is none of the command's: transformers' generate stands in.
        "--backend": "transformers" if backend.kind == "engine" else backend.kind,
        "--url": backend.url,
        "--parallel": backend.parallel or None,
        "--tensor-parallel": backend.tensor_parallel,
        "--key-variable": backend.key_variable,
        "--seed": SCALE.seed,
        "--temperature": evaluation.temperature,
        "--top-p": evaluation.top_p,
        "--max-tokens": evaluation.max_new_tokens,
        "--max-failures": evaluation.max_failures,
        "--limit": evaluation.limit or None,
        "--samples": evaluation.samples or None,
    }
    words = [str(w) for o, v in given.items() if v not in ("", None) for w in (o, v)]
    registries = [word for file in SCALE.benchmarks for word in ("--registry", file)]
    return shlex.join(words + registries)


PARTS = {table: parts_of(table, form.parts) for table, form in TABLES.items() if form.parts}
# Presets that code asks for by name; all others are arms.
COMPARED = ("paper", "released", "ares")


def figure_files(notebook: str, only: str = "figures") -> list[str]:
    """Return what a notebook writes: each figure as a bitmap, as a vector picture and as data.

    only: the list of figures in the notebook's entry; `timed` are those that show times.
    """
    return [
        f"{FIGURES}/{name}.{ending}"
        for name in NOTEBOOKS[notebook].get(only, [])
        for ending in ("png", "pdf", "csv")
    ]


def reported_figures(notebook: str) -> list[str]:
    """Return what a notebook writes, its bitmaps with what `snakemake --report` says of them."""
    files = figure_files(notebook)
    return [reported(file, notebook) if file.endswith(".png") else file for file in files]


def reported(file: str, notebook: str) -> str:
    """Return a bitmap with its caption, and the findings that it shows."""
    figure = Path(file).stem
    shown_by = NOTEBOOKS[notebook].get("findings", {})
    findings = [finding for finding, figures in shown_by.items() if figure in figures]
    labels = {"figure": figure, "findings": ", ".join(findings) or "none"}
    category = f"Notebook {notebook}"
    return report(file, caption=f"../report/{figure}.rst", category=category, labels=labels)


def notebook_parameters(notebook: str) -> str:
    """Return the parameters of a notebook, as JSON.

    Every notebook is told where its figures go; one that reads tables also where they are and
    which config made them; `parameters` of its entry adds values of its own.
    """
    spec = NOTEBOOKS[notebook]
    tables = {"config": CONFIG_FILE, "tables": RESULTS} if spec["tables"] else {}
    own = spec.get("parameters", {})
    size = {"size": SCALE.size} if "size" in own else {}  # of the paper's models beside ours
    return json.dumps({**tables, "figures": FIGURES, **own, **size})


def notebook_settings(notebook: str) -> str:
    """Return what a notebook depends on, as JSON: of the config, and presets if its code has them.

    `ares.config` does not count: it only checks what arms change.
    """
    file = f"notebooks/{notebook}.ipynb"
    sources = {*notebook_sources(file)} - {"ares/config.py"}
    imported = [imported_files(notebook_code(file))]
    imported += [imports_of(Path(source)) for source in sources if source.endswith(".py")]
    used = COMPARED if module_file("ares.method.presets") in sum(imported, []) else ()
    presets = {name: asdict(preset(name)) for name in used}
    files = [file for file in NOTEBOOKS[notebook].get("data", []) if file.endswith(".yaml")]
    return settings(*NOTEBOOKS[notebook].get("settings", []), presets=presets, data=said(*files))


def notebook_tables(notebook: str) -> list[str]:
    """Return the tables that a notebook reads."""
    return [f"{RESULTS}/{table}.parquet" for table in NOTEBOOKS[notebook]["tables"]]


def script_sources(name: str) -> list[str]:
    """Return the files of `ares` that a script imports, directly or not, and the script itself.

    Snakemake looks at the script alone; as inputs, these files make a rule run again when the code
    behind it changes. Data files beside a module count as its sources.
    """
    return sources_of([Path(f"workflow/scripts/{name}.py")])


def module_sources(module: str) -> list[str]:
    """Return the sources of a module that a launcher starts; see `script_sources`."""
    file = module_file(module)
    if file is None:
        raise WorkflowError(f"a rule runs {module}, and there is no such module")
    return sources_of([file])


def step_sources(step: str) -> list[str]:
    """Return the sources of a step that a launcher starts: its function's in `ares.launch`."""
    file = Path("ares/launch.py")
    code = ast.parse(file.read_text(encoding="utf-8"))
    others = [part for part in code.body if getattr(part, "name", step) != step]
    code.body = [part for part in code.body if part not in others]
    return sorted({str(file), *sources_of(imported_files(ast.unparse(code)))})


def notebook_sources(notebook: str) -> list[str]:
    """Return the files of `ares` that a notebook imports, directly or not."""
    return sources_of(imported_files(notebook_code(notebook)))


def notebook_code(notebook: str) -> str:
    """Return the Python of a notebook."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = [line for line in "\n".join(code).splitlines() if not line.startswith(("%", "!"))]
    return "\n".join(lines)


def sources_of(files: list[Path]) -> list[str]:
    """Return the closure of module files under import, with the data files that they name.

    The presets are left out: a rule depends on the settings it takes from them, not on every arm.
    """
    seen: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += imports_of(file)
    files = seen.union(*map(data_of, seen))
    return sorted(str(path) for path in files if not FILE.samefile(path))


@cache
def data_of(file: Path) -> list[Path]:
    """Return the data files beside a module that it names."""
    kinds = ("*.json", "*.yaml", "*.html", "*.css", "*.js")
    text = file.read_text(encoding="utf-8")
    return [path for kind in kinds for path in file.parent.glob(kind) if path.name in text]


@cache
def imports_of(file: Path) -> list[Path]:
    """Return the modules of `ares` that a file imports; most jobs share most of them."""
    return imported_files(file.read_text(encoding="utf-8"))


def imported_files(code: str) -> list[Path]:
    """Return the files of the modules of `ares` that a piece of Python imports."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [file for name in names for file in [module_file(name)] if file]


def module_file(name: str) -> Path | None:
    """Return the file of a module of `ares`, or None for any other name."""
    stem = Path(*name.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((file for file in files if stem.parts[0] == "ares" and file.is_file()), None)
