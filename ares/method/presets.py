"""The settings of the method, and the presets that `presets.yaml` gives them names and values in.

Optimiser, batch sizes and lengths belong to the training configuration, not here. The page
docs/presets.md shows values and sources side by side.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from ares.errors import UserError
from ares.settings import read_yaml, shortened, suggestion

FILE = Path(__file__).with_name("presets.yaml")


def _setting(meaning: str, **bounds: Any) -> Any:
    return Field(description=meaning, **bounds)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class MethodSettings:
    """One way of running the method; change values with `dataclasses.replace`."""

    # --- sampling
    group_size: int = _setting("rollouts per prompt", ge=2)
    temperature: float = _setting("sampling temperature, also of the entropies", gt=0)
    top_p: float = _setting(
        "nucleus; 1 in `ares` because truncated sampling biases the importance ratio", gt=0, le=1
    )
    branching: bool = _setting(
        "rollouts branch where their windows are high, see ares.sampling.branching"
    )
    probe: int = _setting(
        "rollouts of every prompt before the others are allotted by difficulty, see "
        "ares.training.rollouts; 0: every prompt has group_size",
        ge=0,
    )
    # --- windows and threshold
    window: int = _setting("tokens per window", ge=1)
    window_start: Literal["at", "after"] = _setting("window of token t starts at t or after it")
    threshold: Literal["batch", "median", "group"] = _setting(
        "statistic, see ares.method.thresholds"
    )
    threshold_quantile: float = _setting("fraction", ge=0, le=1)
    threshold_incomplete: Literal["undefined", "shorter", "running_mean"] = _setting(
        "incomplete windows in the threshold"
    )
    threshold_decay: float = _setting("weight of the old threshold; 0: none is kept", ge=0, le=1)
    threshold_late: bool = _setting("a batch is judged by the threshold of the batches before it")
    trigger: Literal["none", "sampled", "top1"] = _setting(
        "token that has to be in the lexicon: none, sampled or top1"
    )
    # --- difficulty and entropy reward
    easy_from: float = _setting("pass rate from which a prompt is easy", ge=0, le=1)
    medium_from: float = _setting("pass rate from which it is medium", ge=0, le=1)
    entropy_reward: Literal["none", "main_text", "released", "ares"] = _setting(
        "form, see ares.method.reward"
    )
    entropy_weight: float = _setting(
        "weight of the entropy reward (released: first alpha; main text: factor on lambda)", ge=0
    )
    entropy_groups: Literal["all", "silent"] = _setting(
        "groups that have it: all, or silent ones, whose rollouts are all right or all wrong"
    )
    target_decay: float = _setting(
        "weight of the old target (released: rounded batch mean, no average)", ge=0, le=1
    )
    # --- filter and advantage
    filter: Literal["none", "reward_first", "accuracy"] = _setting(
        "dynamic sampling: none; reward_first (on the reward, before buckets exist); accuracy"
    )
    filter_low: float = _setting("a group is kept when its mean score is above this")
    filter_high: float = _setting("a group is kept when its mean score is below this")
    advantage: Literal["normalised", "length"] = _setting(
        "normalised (by the std) or length (centred, by the length)"
    )
    std_floor: float = _setting(
        "least standard deviation by which normalised advantages are divided", ge=0
    )
    psi: bool = _setting("add the bonus psi_t to the advantages")
    # --- surrogate
    clip_low: float = _setting("lower clip width", ge=0, lt=1)
    clip_high: float = _setting("upper clip width", ge=0)
    dual_clip: float = _setting("bound on the ratio where A < 0", gt=1)
    loss_average: Literal["token", "sequence"] = _setting("token or sequence")
    # --- KL budget
    kl: Literal["none", "fixed", "bucket", "window"] = _setting(
        "none; fixed; bucket (the release's controller); window (eq. 1 and 27)"
    )
    kl_coefficient: float = _setting("factor on the whole KL loss", ge=0)
    kl_beta: float = _setting("first coefficient of every bucket", ge=0)
    kl_rho: float = _setting("factor inside windows", gt=0, le=1)
    kl_budget: float = _setting("nats per (non-window) token", gt=0)
    kl_gain: float = _setting("gain of eq. 27 (released: log-space step size)", ge=0, le=1)
    kl_minimum: float = _setting("lower bound of the coefficient", gt=0)
    kl_maximum: float = _setting("upper bound of the coefficient", gt=0)


def _read() -> dict[str, MethodSettings]:
    """The file: name -> setting -> [value, source]; an arm names what differs from `ares`."""

    def values(entry: dict[str, tuple[Any, str]]) -> dict[str, Any]:
        return {setting: value for setting, (value, _source) in entry.items()}

    entries = read_yaml(FILE)
    arms = entries.pop("arms")
    presets = {name: MethodSettings(**values(entry)) for name, entry in entries.items()}
    ours = asdict(presets["ares"])
    return presets | {
        arm: MethodSettings(**ours | values(changes)) for arm, changes in arms.items()
    }


PRESETS = _read()


def check_changes(changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings that differ from a preset's, when they are settings of the method.

    Raises:
        ValueError: an unknown setting, or a value of the wrong type or out of its bounds.
    """
    ours = asdict(PRESETS["ares"])
    for name, value in changes.items():
        if name not in ours:
            raise ValueError(f"unknown setting '{name}'{suggestion(name, ours)}")
        try:
            MethodSettings(**ours | {name: value})
        except ValidationError as error:
            rule = error.errors()[0]["msg"].replace("Input should", "must")
            raise ValueError(f"{name}: {shortened(repr(value))} {rule}") from None
    return changes


def preset(name: str) -> MethodSettings:
    """The settings under a name.

    Raises:
        UserError: unknown name; lists those there are.
    """
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]
