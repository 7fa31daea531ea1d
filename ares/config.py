"""Scales: how much the workflow computes, and on what. One declaration of every setting.

A scale learns from one material: from the small world, or from data sets where `cold_start.data`
and `aepo.data` name some. Sizes have no default: a scale is its sizes. What belongs to the method
has one. Editors read `config/schemas/`, which docs/generate.py writes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ares import paths
from ares.backends import PARALLEL, TEMPERATURE, TOP_P
from ares.errors import UserError
from ares.method.presets import MethodSettings, check_changes, preset
from ares.settings import (
    AnyNumber,
    Positive,
    Seed,
    Settings,
    Several,
    Share,
    Text,
    load_settings,
    shown,
    suggestion,
)

Level = Literal["easy", "medium", "hard"]
Presentation = Literal["text", "image"]
Curation = Literal["adacs", "cs-vanilla"]
CURATIONS = get_args(Curation)
Start = Literal[Curation, "base"]

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
BenchmarkName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Count = Annotated[int, Field(ge=1, le=10**8)]
CountOrNone = Annotated[int, Field(ge=0, le=10**8)]
Samples = Annotated[int, Field(ge=1, le=1024)]
GroupSize = Annotated[int, Field(ge=2, le=1024)]
Shards = Annotated[int, Field(ge=1, le=4096)]
Tokens = Annotated[int, Field(ge=1, le=2**20)]
Inside = Annotated[float, Field(gt=0, lt=1)]
Temperature = Annotated[float, Field(gt=0, le=10)]
Greedy = Annotated[float, Field(ge=0, le=10)]
Norm = Annotated[float, Field(gt=0)]
Changes = Annotated[dict[str, bool | int | float | str], AfterValidator(check_changes)]
#: A section of the other material; nothing reads it.
_NOT_HERE: Any = None


class Launch(Settings):
    """What stands before `ares` in the commands that use GPUs."""

    training: Text = "accelerate launch --config_file config/accelerate/fsdp.yaml -m"
    """Of the cold start and of AEPO: one process per GPU"""
    sampling: Text = "bash workflow/scripts/on_free_gpus.sh 1 python -m"
    """Of pass rates and benchmarks: takes GPUs that no other such job uses"""


class Gpus(Settings):
    """GPUs of a job; `snakemake --resources gpu=8` limits their number on one's own machine."""

    training: int = Field(8, ge=0, le=4096)
    """Of a cold start and of a run of AEPO: as many as its launcher has processes"""
    sampling: int = Field(1, ge=0, le=64)
    """Of a job of pass rates or of a benchmark"""


class BackendSettings(Settings):
    """What samples outside of training: pass rates, rollouts of the analysis, benchmarks."""

    kind: Literal["engine", "vllm", "server", "transformers"] = "engine"
    """engine: the package's own sampler, which keeps every entropy (benchmarks then go through
    transformers); vllm or transformers: in the job; server: an OpenAI-compatible one that serves
    every model under the name or folder it has here"""
    url: str = ""
    """Of the server, ends in /v1; empty for the other kinds"""
    parallel: int = Field(0, ge=0, le=65536)
    """Requests at a time, or prompts per batch of a model in the job; 0: as the backend has it"""
    tensor_parallel: int = Field(1, ge=1, le=64)
    """GPUs that share one copy of the model (vllm); equal to gpus.sampling"""
    key_variable: Text = "OPENAI_API_KEY"
    """Environment variable that holds the server's API key; the key itself is written nowhere"""


class ProblemsSettings(Settings):
    """Problems of the analysis: of the small world's held-out split, or of data sets."""

    per_level: CountOrNone = 0
    """Test problems of the small world per level; each is shown in every presentation"""
    presentations: Several[Presentation] = ("text", "image")
    """How a problem is shown"""
    levels: Several[Level] = ("easy", "medium", "hard")
    """Levels of the world to draw from"""
    data: dict[str, Count] = Field({})
    """Problems drawn from each data set or benchmark of the registries; fewer where it has fewer"""
    max_prompt_tokens: Tokens = 4096
    """Problems of data sets with a longer prompt, pictures included, are left out"""


class RolloutsSettings(Settings):
    """Sampled responses to the problems of the analysis, and their token entropies."""

    model: Text = "base"
    """Model that responds: base, adacs, cs-vanilla or an arm with its seed (ares-s1)"""
    samples: GroupSize = 8
    """Responses per problem: the group of eq. 10"""
    temperature: Temperature = TEMPERATURE
    """Sampling temperature, also of the entropies (eq. 3)"""
    top_p: Positive = TOP_P
    """Probability mass of the nucleus; 1 samples from the whole vocabulary"""
    max_new_tokens: Tokens = 288
    """Length limit of a response in tokens"""
    batch_prompts: int = Field(32, ge=1, le=4096)
    """Prompts that the engine samples together, each with all its samples: memory against speed"""
    batch_scores: int = Field(32, ge=1, le=4096)
    """Responses whose entropies are computed together: memory against speed"""
    shards: Shards = 1
    """Independent jobs; fixed, so that tables do not depend on the cores"""


class Causal(Settings):
    """Causal labels: resample the choice at a position, continue, compare pass rates."""

    rollouts: Count
    """Rollouts that are labelled"""
    alternatives: int = Field(ge=2, le=64)
    """Most probable tokens tried at a position"""
    continuations: GroupSize
    """Continuations sampled per alternative"""
    min_alternative_probability: Inside = 0.02
    """Tokens less probable than this are no alternative"""
    effect_threshold: Positive = 0.1
    """A position is causal when its pass rate varies by at least this (fraction)"""
    shards: Shards
    """Independent jobs; fixed, so that tables do not depend on the cores"""


class Windows(Settings):
    """The axes of figure 2a."""

    sizes: Several[Annotated[int, Field(ge=1, le=1024)]] = (1, 2, 4, 8, 16, 32)
    """Window lengths in tokens; 1 is single-token entropy"""
    percentiles: Several[Annotated[int | float, Field(ge=0, lt=100)]] = (
        *(50, 55, 60, 65, 70, 75, 80, 85, 90, 92, 94, 95, 96, 97, 98, 99),
    )
    """Thresholds: a token is selected above this percentile of the entropies"""


class Bootstrap(Settings):
    """Confidence intervals."""

    resamples: int = Field(2000, ge=20, le=1_000_000)
    """Bootstrap resamples of the problems"""
    level: Inside = 0.95
    """Coverage of the intervals (fraction)"""


class TeacherServer(Settings):
    """A model that is asked for traces."""

    url: str = ""
    """OpenAI-compatible endpoint, ends in /v1; empty: nobody is asked"""
    model: str = ""
    """Name of the model served there"""
    key_variable: Text = "OPENAI_API_KEY"
    """Environment variable that holds the API key; the key itself is written nowhere"""


class Teachers(Settings):
    """Who is asked for traces: models, or the habits of the small world."""

    text: TeacherServer = TeacherServer()
    """Of problems without pictures"""
    pictures: TeacherServer = TeacherServer()
    """Of problems with pictures"""
    traces: Samples = 1
    """Traces asked for per problem; in the small world of each habit"""
    efforts: AnyNumber[Text] = ()
    """Every reasoning_effort that models are asked with; none: the server's own"""
    temperatures: AnyNumber[Greedy] = (1.0,)
    """Of the models' traces, with every effort; none: it and top_p are not sent"""
    top_p: Positive = TOP_P
    """Nucleus of the models' traces"""
    max_requests: CountOrNone = 0
    """Requests that a job may send to each model; 0: any number. What came before stays good"""
    max_tokens: CountOrNone = 0
    """Tokens of prompts and responses that a job may take from each model; 0: any number"""
    parallel: int = Field(PARALLEL, ge=1, le=65536)
    """Requests at a time"""


class FineTuning(Settings):
    """Supervised fine-tuning on a selection."""

    epochs: int = Field(2, ge=1, le=1000)
    """Passes over the selected examples"""
    batch: int = Field(ge=1, le=65536)
    """Examples per optimizer step, over all processes"""
    micro_batch: int = Field(0, ge=0, le=65536)
    """Examples per forward pass of a process: lower when memory is short; 0: the whole batch"""
    max_length: Tokens = 32768
    """Tokens of prompt, pictures and trace together; longer traces are left out, none is cut"""
    lr: Positive
    """Peak learning rate"""
    schedule: Literal["cosine", "linear"] = "cosine"
    """How the rate falls to 0 after the peak"""
    warmup: Share = 0.1
    """Share of the optimizer steps over which the rate rises"""
    weight_decay: Share = 0.0
    """AdamW"""
    max_grad_norm: Norm = 1.0
    """Gradients are scaled down to this norm"""
    freeze_vision: bool = True
    """Train the language model only, as the paper does"""
    checkpoint_every: Count = 200
    """Optimizer steps between resumable states"""


class ColdStart(Settings):
    """Pass rates, a pool of traces, curation and fine-tuning (AdaCS)."""

    per_level: CountOrNone = 0
    """Training problems of the small world per level; each in every presentation"""
    data: dict[str, Count] = Field({})
    """Problems drawn from each data set of the registry; fewer where it has fewer"""
    max_prompt_tokens: Tokens = 4096
    """Problems with a longer prompt, pictures included, are left out"""
    samples: GroupSize = 8
    """Responses per problem: the pass rate is a fraction of these"""
    temperature: Temperature = TEMPERATURE
    """Of these responses"""
    top_p: Positive = TOP_P
    """Nucleus of these responses"""
    max_new_tokens: Tokens
    """Length limit of these responses in tokens"""
    shards: Shards = 1
    """Independent jobs; fixed, so that tables do not depend on the cores"""
    traces: Literal["own", "teachers", "both"] = "both"
    """Whose traces the pool holds: own, those that come with the data sets; teachers; or both, the
    teachers' where a problem has none of its own"""
    teachers: Teachers = Teachers()
    size: Count
    """Examples that a curation selects"""
    sft: FineTuning


class Vllm(Settings):
    """What draws rollouts in training, where vLLM does."""

    mode: Literal["colocate", "server", "none"] = "colocate"
    """colocate: on the GPUs that train; server: on others, at url; none: TRL's own generation"""
    url: Text = "http://localhost:8000"
    """Of the server; the environment variable VLLM_SERVER takes its place"""
    gpu_memory: Inside = 0.6
    """colocate: share of a GPU's memory that vLLM takes while it samples"""
    tensor_parallel: int = Field(1, ge=1, le=64)
    """colocate: GPUs that share one copy; divides the attention heads (3B: 16, 7B: 28)"""
    sleep: bool = True
    """colocate: vLLM gives its memory back while the model learns"""
    importance: Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = (
        "token_truncate"
    )
    """How the difference between vLLM's and the model's probabilities is corrected; a sequence-wise
    ratio is far from 1 for every long response"""


class ValidationSettings(Settings):
    """Fixed held-out problems, measured during training."""

    per_level: Count
    """Validation problems per level; each in every presentation"""
    samples: Samples = 4
    """Responses per problem"""
    every: Count
    """Batches of rollouts between two measurements"""


class ArmSettings(Settings):
    """Runs of one preset."""

    seeds: Several[Seed]
    """One run per seed"""
    preset: str = ""
    """Preset of ares.method.presets, when it is not the arm's name"""
    changes: Changes = Field({})
    """Settings of the method that differ from the preset; docs/presets.md says what they mean"""
    start: Start = "adacs"
    """Model that training starts from"""


class Aepo(Settings):
    """Reinforcement learning: every arm, from the same cold start, one job per arm and seed."""

    steps: Count
    """Batches of rollouts that a run learns from"""
    prompts: Count
    """Prompts per batch of rollouts, over all processes"""
    per_level: CountOrNone = 1000
    """Training problems of the small world per level; each in every presentation"""
    data: AnyNumber[Text] = ()
    """Data sets of the registry that prompts are drawn from, each equally often"""
    pictures: Literal["only", "none", "both"] = "only"
    """Which prompts of data sets are kept: with pictures only, text only, or both; sharded models
    can't mix them"""
    max_prompt_tokens: Tokens = 4096
    """Prompts that are longer, pictures included, are left out"""
    max_new_tokens: Tokens
    """Length limit of a response in tokens"""
    rollouts: GroupSize | None = None
    """Rollouts per prompt, the group of eq. 10; not given: as the preset has it"""
    temperature: Temperature | None = None
    """Of the rollouts, and of their entropies (eq. 3); not given: as the preset has it"""
    top_p: Positive | None = None
    """Nucleus of the rollouts; not given: as the preset has it"""
    updates: int = Field(4, ge=1, le=64)
    """Optimizer steps per batch of rollouts (the paper: 512 prompts in mini-batches of 128)"""
    micro_batches: int = Field(1, ge=1, le=65536)
    """Forward passes of a process per optimizer step: raise when memory is short"""
    tokens_per_pass: Count = 1500
    """Tokens per forward pass, padding included, in rows of similar length"""
    lr: Positive
    """Peak learning rate"""
    lr_decay: Literal["none", "linear"] = "none"
    """Whether the rate then stays, or falls to 0 at the last step"""
    warmup: Share = 0.1
    """Share of the optimizer steps over which the rate rises"""
    weight_decay: Share = 0.01
    """AdamW"""
    max_grad_norm: Norm = 1.0
    """Gradients are scaled down to this norm"""
    refill_rounds: int = Field(2, ge=0, le=64)
    """Dynamic sampling: how often groups without variance are replaced by fresh prompts"""
    branch_roots: Samples = 4
    """Branching arms: rollouts of a group that are sampled from the prompt; the others branch"""
    checkpoint_every: Count = 10
    """Batches of rollouts between resumable states"""
    gradients_every: CountOrNone = 10
    """Batches between two looks at the parts of the gradient, in the small world; 0: none"""
    validation: ValidationSettings = _NOT_HERE
    vllm: Vllm = Vllm()
    arms: dict[Slug, ArmSettings] = Field(min_length=1)
    """Runs by name; the name is the preset unless one is given"""

    def settings_of(self, arm: str) -> MethodSettings:
        """Return an arm's settings of the method: its preset, then this section, then its changes.

        Raises:
            UserError: an unknown preset.
        """
        own = {"group_size": self.rollouts, "temperature": self.temperature, "top_p": self.top_p}
        entry = self.arms[arm]
        given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
        return replace(preset(entry.preset or arm), **given | entry.changes)


class Evaluation(Settings):
    """Every model, tested after training."""

    per_level: CountOrNone = 0
    """Test problems of the small world per level; each in every presentation"""
    benchmarks: AnyNumber[BenchmarkName] = ()
    """Names in the registries of benchmarks"""
    limit: CountOrNone = 0
    """First questions of each benchmark only; 0: all"""
    samples: int = Field(0, ge=0, le=1024)
    """Responses per question; 0: as many as the benchmark says"""
    temperature: Greedy = TEMPERATURE
    """Of the responses; 0 is greedy"""
    top_p: Positive = TOP_P
    """Nucleus of the responses"""
    max_new_tokens: Tokens
    """Length limit of a response in tokens"""
    batch_prompts: int = Field(32, ge=1, le=4096)
    """Prompts sampled together, each with all its samples: memory against speed"""
    max_failures: CountOrNone = 0
    """Requests of a job that may stay without a response; more are an error"""


class Scale(Settings):
    """A scale: how much the workflow computes, and on what.

    `causal`, a section of the small world only, is None at a scale of data sets.
    """

    scale: Slug
    """Name of the scale: results go to results/<scale>/ and figures/<scale>/"""
    seed: Seed = 1
    """Seed of every draw but those of an arm; another seed is another replication"""
    model: Text = "data/base"
    """What everything starts from: a folder relative to the root, or a name on the hub"""
    size: Literal["3B", "7B", ""] = ""
    """The paper's models that ours stand beside in the notebook of benchmarks"""
    world: Text = "config/world.yaml"
    """The problem family of the small world, relative to the root"""
    training_data: Several[Text] = ("config/training-data.yaml",)
    """Registry files of the data sets that cold start and AEPO learn from"""
    benchmarks: AnyNumber[Text] = ()
    """Registry files of benchmarks beside config/benchmarks.yaml"""
    launch: Launch = Launch()
    gpus: Gpus = Gpus()
    backend: BackendSettings = BackendSettings()
    problems: ProblemsSettings
    rollouts: RolloutsSettings
    causal: Causal = _NOT_HERE
    windows: Windows = Windows()
    bootstrap: Bootstrap = Bootstrap()
    cold_start: ColdStart
    aepo: Aepo
    evaluation: Evaluation

    @property
    def of_data_sets(self) -> bool:
        """Whether data sets are the material of this scale; else the small world is."""
        return any(_value(self, key) for key in _MATERIAL)

    @property
    def material(self) -> Literal["world", "data"]:
        """Whose problems they are, as `ares.tables` names it."""
        return "data" if self.of_data_sets else "world"

    @model_validator(mode="after")
    def _one_material(self) -> Self:
        """Refuse keys of the other material, and ask for those that this one needs."""
        name, needed, foreign = _OF_DATA_SETS if self.of_data_sets else _OF_THE_WORLD
        for key in foreign:
            if _given(self, key):
                raise ValueError(f"'{key}' does not belong to a scale of {name}; leave it out")
        for key in needed:
            if not _value(self, key) or (key == "model" and not _given(self, key)):
                raise ValueError(f"missing key '{key}': a scale of {name} needs it")
        if self.rollouts.model not in self.models:
            known = ", ".join(self.models)
            raise ValueError(f"rollouts.model: no model '{self.rollouts.model}' among {known}")
        return self

    @property
    def runs(self) -> dict[str, tuple[str, int]]:
        """The runs of AEPO by name: arm and seed."""
        arms = self.aepo.arms.items()
        return {f"{arm}-s{seed}": (arm, seed) for arm, entry in arms for seed in entry.seeds}

    @property
    def models(self) -> dict[str, tuple[str, int]]:
        """All models by name, those that training can start from first: arm and seed, or 0."""
        return {**{name: (name, 0) for name in ("base", *CURATIONS)}, **self.runs}


#: Keys that make data sets the material of a scale.
_MATERIAL = ("cold_start.data", "aepo.data", "evaluation.benchmarks", "problems.data")
#: Of both materials: its name, the keys that it needs, and those that are the other's.
_OF_DATA_SETS = (
    "data sets",
    ("model", *_MATERIAL, "cold_start.sft.micro_batch"),
    (
        *("world", "problems.per_level", "problems.levels", "problems.presentations", "causal"),
        *("cold_start.per_level", "aepo.per_level", "aepo.validation", "evaluation.per_level"),
    ),
)
_OF_THE_WORLD = (
    "the small world",
    (
        *("problems.per_level", "causal", "cold_start.per_level", "aepo.validation"),
        *("evaluation.per_level", "evaluation.samples"),
    ),
    ("size", "training_data", "cold_start.traces", "aepo.pictures", "aepo.vllm"),
)


def _value(scale: Scale, key: str) -> Any:
    return reduce(getattr, key.split("."), scale)


def _given(scale: Scale, key: str) -> bool:
    """Whether the file gives a key; the model fills in the others."""
    section, _, name = key.rpartition(".")
    return name in (_value(scale, section) if section else scale).model_fields_set


def load_config(scale_or_path: str | Path, of_data_sets: bool | None = None) -> Scale:
    """Return a checked scale, defaults filled in.

    Args:
        scale_or_path: the name of a scale in `config/` ("laptop"), or the path of a YAML file,
            relative to the root of the repository.
        of_data_sets: the material that is wanted, as `Scale.of_data_sets`; None takes either.

    Raises:
        UserError: unknown scale, unreadable file, unknown key, value out of its bounds, a scale of
            the other material.

    >>> load_config("laptop").windows.sizes
    (1, 2, 4, 8, 16, 32)
    >>> load_config("paper-7b").model
    'Qwen/Qwen2.5-VL-7B-Instruct'
    """
    path = config_path(scale_or_path)
    scale = load_settings(Scale, path)
    if of_data_sets is not None and scale.of_data_sets != of_data_sets:
        wanted, *_ = _OF_DATA_SETS if of_data_sets else _OF_THE_WORLD
        raise UserError(f"{shown(path)}: this command takes a scale of {wanted}")
    if path.parent == paths.CONFIG and scale.scale != path.stem:
        raise UserError(
            f"{shown(path)}: scale: is '{scale.scale}' but the file is named '{path.stem}'; "
            "results are kept by scale, so make them equal"
        )
    return scale


def config_path(scale_or_path: str | Path) -> Path:
    """Return the file of a scale.

    Raises:
        UserError: there is no such scale or file; names the scales there are.
    """
    text, known = str(scale_or_path), scales()
    if "/" in text or text.endswith((".yaml", ".yml")):
        path = paths.resolve(text)
        if not path.is_file():
            raise UserError(f"{text}: no such config file")
        return path
    if text not in known:
        raise UserError(
            f"unknown scale '{text}'{suggestion(text, known)}; scales in config/: "
            f"{', '.join(known)}; or give the path of a YAML file"
        )
    return paths.CONFIG / f"{text}.yaml"


def scales() -> list[str]:
    """Return the names of the scales in `config/`, sorted; other files there are no scales."""
    return [
        path.stem
        for path in sorted(paths.CONFIG.glob("*.yaml"))
        if any(line.startswith("scale:") for line in path.read_text("utf-8").splitlines())
    ]
