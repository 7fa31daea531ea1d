"""Named settings of the method: `paper`, `released`, `ares` and the arms of the ablation.

A value is declared once, beside its meaning and its source; `python -m ares.method.presets` prints
the table of docs/presets.md from these declarations. Optimiser, batch sizes and lengths belong to
the training configuration, not here.

Choices:
1. Where the text is void (lambda_d = 0, see `reward`), `paper` takes its targets from earlier
   steps.
2. The paper gives no rho, beta_d, delta_d or gain. `paper` and `ares` share ours.
3. The arms change `ares` in the named part and nothing else; `grpo` and `dapo` have
   no entropy reward and no KL controller.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from ares.errors import UserError

OURS = "ours"
_CONFIG = "release: experiments/AEPO/config.yaml"
_ROLLOUT = "release: verl/workers/rollout/vllm_rollout_spmd.py"
_TRAINER = "release: verl/trainer/ray_trainer.py"
_ACTOR = "release: verl/workers/actor/dp_actor.py"
_ACTOR_CONFIG = "release: verl/workers/actor/config.py"
_REWARD = "release: examples/reward_function/aepo.py"

Value = tuple[Any, str]


def setting(doc: str, paper: Value, released: Value, ares: Value) -> Any:
    """Declare a field: what it means, and its value and source in each preset."""
    return field(metadata={"doc": doc, "paper": paper, "released": released, "ares": ares})


@dataclass(frozen=True)
class Settings:
    """One way of running the method; change values with `dataclasses.replace`."""

    # --- sampling
    group_size: int = setting(
        "rollouts per prompt",
        (8, "main text"), (8, f"{_CONFIG}, rollout.n"), (8, "main text"),
    )  # fmt: skip
    temperature: float = setting(
        "sampling temperature, also of the entropies",
        (1.0, "main text"), (1.0, f"{_CONFIG}, rollout.temperature"), (1.0, "main text"),
    )  # fmt: skip
    top_p: float = setting(
        "nucleus; 1 in `ares` because truncated sampling biases the importance ratio",
        (0.99, "main text"), (0.99, f"{_CONFIG}, rollout.top_p"), (1.0, OURS),
    )  # fmt: skip
    branching: bool = setting(
        "rollouts branch where their windows are high, see ares.sampling.branching",
        (True, "main text"), (False, "not in the release"), (False, OURS),
    )  # fmt: skip
    # --- windows and threshold
    window: int = setting(
        "tokens per window",
        (4, "Fig. 2a: 4 to 8 are best"), (4, f"{_CONFIG}, rollout.window_size"), (4, "Fig. 2a"),
    )  # fmt: skip
    window_start: str = setting(
        "window of token t starts at t or after it",
        ("at", "eq. 4"), ("after", _ROLLOUT), ("at", "eq. 4"),
    )  # fmt: skip
    threshold: str = setting(
        "statistic, see ares.method.thresholds",
        ("group", "Alg. 1"), ("median", _TRAINER), ("batch", OURS),
    )  # fmt: skip
    threshold_quantile: float = setting(
        "fraction",
        (0.95, "main text"), (0.95, _ROLLOUT), (0.95, "main text"),
    )  # fmt: skip
    threshold_incomplete: str = setting(
        "incomplete windows in the threshold",
        ("undefined", OURS), ("running_mean", _ROLLOUT), ("undefined", OURS),
    )  # fmt: skip
    threshold_decay: float = setting(
        "weight of the old threshold; 0: none is kept",
        (0.0, "Alg. 1: no average"), (0.99, _TRAINER), (0.9, OURS),
    )  # fmt: skip
    threshold_late: bool = setting(
        "a batch is judged by the threshold of the batches before it",
        (False, "Alg. 1"), (True, _TRAINER), (False, OURS),
    )  # fmt: skip
    trigger: str = setting(
        "token that has to be in the lexicon: none, sampled or top1",
        ("none", "Alg. 1"), ("top1", _ROLLOUT), ("sampled", "App. H"),
    )  # fmt: skip
    # --- difficulty and entropy reward
    easy_from: float = setting(
        "pass rate from which a prompt is easy",
        (3 / 4, "eq. 10: 6 of 8"), (2 / 3, _TRAINER), (3 / 4, "eq. 10"),
    )  # fmt: skip
    medium_from: float = setting(
        "pass rate from which it is medium",
        (3 / 8, "eq. 10: 3 of 8"), (1 / 3, _TRAINER), (3 / 8, "eq. 10"),
    )  # fmt: skip
    entropy_reward: str = setting(
        "form, see ares.method.reward",
        ("main_text", "main text"), ("released", _REWARD), ("ares", "Fig. 9 in words"),
    )  # fmt: skip
    entropy_weight: float = setting(
        "weight of the entropy reward (released: first alpha; main text: factor on lambda)",
        (1.0, "main text"), (0.5, _TRAINER), (1.0, OURS),
    )  # fmt: skip
    target_decay: float = setting(
        "weight of the old target (released: rounded batch mean, no average)",
        (0.9, OURS), (0.0, _TRAINER), (0.9, OURS),
    )  # fmt: skip
    # --- filter and advantage
    filter: str = setting(
        "dynamic sampling: none; reward_first (on the reward, before buckets exist); accuracy",
        ("accuracy", "main text"), ("reward_first", _TRAINER), ("accuracy", OURS),
    )  # fmt: skip
    filter_low: float = setting(
        "groups need a mean above this",
        (0.01, "main text"), (0.01, f"{_CONFIG}, filter_low"), (0.01, "main text"),
    )  # fmt: skip
    filter_high: float = setting(
        "and below this",
        (0.99, "main text"), (0.99, f"{_CONFIG}, filter_high"), (0.99, "main text"),
    )  # fmt: skip
    advantage: str = setting(
        "normalised (by the std) or length (centred, by the length)",
        ("length", "Alg. 1"), ("normalised", f"{_CONFIG}, adv_estimator"), ("normalised", "GRPO"),
    )  # fmt: skip
    psi: bool = setting(
        "add the bonus psi_t to the advantages",
        (True, "Alg. 1"), (False, "not in the release"), (False, OURS),
    )  # fmt: skip
    # --- surrogate
    clip_low: float = setting(
        "lower clip width", (0.2, "main text"), (0.2, _ACTOR_CONFIG), (0.2, "main text"),
    )  # fmt: skip
    clip_high: float = setting(
        "upper clip width", (0.3, "main text"), (0.3, _ACTOR_CONFIG), (0.3, "main text"),
    )  # fmt: skip
    dual_clip: float = setting(
        "bound on the ratio where A < 0",
        (3.0, "main text"), (3.0, _ACTOR_CONFIG), (3.0, "main text"),
    )  # fmt: skip
    loss_average: str = setting(
        "token or sequence", ("token", "main text"), ("token", _ACTOR_CONFIG), ("token", "DAPO"),
    )  # fmt: skip
    # --- KL budget
    kl: str = setting(
        "none; fixed; bucket (the release's controller); window (eq. 1 and 27)",
        ("window", "eq. 1, 27"), ("bucket", _ACTOR), ("window", "eq. 1, 27"),
    )  # fmt: skip
    kl_coefficient: float = setting(
        "factor on the whole KL loss", (1.0, OURS), (0.01, f"{_CONFIG}, kl_coef"), (1.0, OURS),
    )  # fmt: skip
    kl_beta: float = setting(
        "first coefficient of every bucket", (0.01, OURS), (1.0, _ACTOR), (0.01, OURS),
    )  # fmt: skip
    kl_rho: float = setting(
        "factor inside windows", (0.3, OURS), (1.0, "not in the release"), (0.3, OURS),
    )  # fmt: skip
    kl_budget: float = setting(
        "nats per (non-window) token", (0.02, OURS), (0.01, _ACTOR), (0.02, OURS),
    )  # fmt: skip
    kl_gain: float = setting(
        "gain of eq. 27 (released: log-space step size)", (0.1, OURS), (0.05, _ACTOR), (0.1, OURS),
    )  # fmt: skip
    kl_minimum: float = setting(
        "lower bound of the coefficient", (1e-4, OURS), (1e-4, _ACTOR), (1e-4, OURS),
    )  # fmt: skip
    kl_maximum: float = setting(
        "upper bound of the coefficient", (1.0, OURS), (100.0, _ACTOR), (1.0, OURS),
    )  # fmt: skip


def _preset(name: str) -> Settings:
    return Settings(**{entry.name: entry.metadata[name][0] for entry in fields(Settings)})


#: What each arm changes in `ares`, with the source of every change.
ARMS: dict[str, dict[str, Value]] = {
    "ares-no-kl": {"kl": ("none", "Table 5")},
    "ares-no-entropy": {"entropy_reward": ("none", "Table 5")},
    "ares-branch": {"branching": (True, "main text")},
    "dapo": {"entropy_reward": ("none", "DAPO"), "kl": ("none", "DAPO")},
    "grpo": {
        "entropy_reward": ("none", "GRPO"),
        "filter": ("none", "GRPO"),
        "clip_high": (0.2, "GRPO: symmetric"),
        "loss_average": ("sequence", "GRPO"),
        "kl": ("fixed", "GRPO; release: experiments/Ablation_original_grpo_*/config.yaml"),
    },
}

SOURCES = ("paper", "released", "ares")
PRESETS: dict[str, Settings] = {name: _preset(name) for name in SOURCES}
PRESETS |= {
    arm: replace(PRESETS["ares"], **{name: value for name, (value, _) in changes.items()})
    for arm, changes in ARMS.items()
}


def preset(name: str) -> Settings:
    """The settings under a name.

    Raises:
        UserError: unknown name; lists those there are.
    """
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]


def render() -> str:
    """The page docs/presets.md."""
    lines = [
        "# Presets",
        "",
        "Made by `python -m ares.method.presets > docs/presets.md`; a test holds it to the code.",
        "Equation, figure and table numbers are the paper's (arXiv 2510.08457v1).",
        "",
        "| setting | meaning | " + " | ".join(f"`{name}`" for name in SOURCES) + " |",
        "|---" * (2 + len(SOURCES)) + "|",
        *map(_row, fields(Settings)),
        "",
        "## Arms of the ablation",
        "",
        "Each equals `ares` but for these values.",
        "",
        "| arm | setting | value | source |",
        "|---|---|---|---|",
    ]
    for arm, changes in ARMS.items():
        lines += [
            f"| `{arm}` | `{name}` | {_shown(v)} | {why} |" for name, (v, why) in changes.items()
        ]
    return "\n".join(lines) + "\n"


def _row(entry: Field) -> str:
    cells = [
        f"{_shown(value)} ({source})" for value, source in (entry.metadata[n] for n in SOURCES)
    ]
    return f"| `{entry.name}` | {entry.metadata['doc']} | " + " | ".join(cells) + " |"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    print(render(), end="")
