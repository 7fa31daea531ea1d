"""Made-up tables of training runs, in the form that training and evaluation write.

Nothing trained stands behind the numbers; they only have the columns, the gaps and the noise of
real ones: arms lack metrics, buckets are empty in some batches, arms that do not branch have no
trees. `write(folder, steps=2, seeds=(1,))` is the smallest form.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from ares.io import write_table

LEVELS = ("easy", "medium", "hard")
CELLS = [(level, shown) for level in LEVELS for shown in ("text", "image")]
#: By level: accuracy, length (tokens) and HWE tokens at the start.
START = {"easy": (0.90, 36.0, 0.9), "medium": (0.55, 95.0, 3.5), "hard": (0.15, 150.0, 8.0)}
#: By arm: what training adds to the accuracy, and multiplies the length with.
EFFECT = {
    "grpo": (0.05, 1.15),
    "dapo": (0.06, 1.12),
    "ares-no-kl": (0.08, 1.02),
    "ares-no-entropy": (0.07, 1.08),
    "ares": (0.09, 0.98),
    "paper": (0.03, 1.05),
    "released": (0.02, 1.10),
    "ares-branch": (0.09, 1.00),
    "ares-from-vanilla": (0.06, 1.01),
}
WITH_KL = ("grpo", "ares-no-entropy", "ares", "paper", "released", "ares-branch")
WITH_CONTROLLER = ("ares-no-entropy", "ares", "paper", "released", "ares-branch")
SINGLE = ("paper", "released", "ares-branch", "ares-from-vanilla")


def runs(seeds: tuple[int, ...]) -> list[tuple[str, int]]:
    """The runs of all arms: the single ones have the first seed alone."""
    return [(arm, s) for arm in EFFECT for s in (seeds[:1] if arm in SINGLE else seeds)]


def steps_of(arm: str, seed: int, steps: int) -> list[tuple]:
    """Rows of the training records of one run."""
    rng = np.random.default_rng([seed, *map(ord, arm)])
    gain, stretch = EFFECT[arm]
    rows: list[tuple] = []

    def add(metric: str, value: float, bucket: str = "all") -> None:
        rows.append((arm, seed, step, metric, bucket, float(value)))

    for step in range(1, steps + 1):
        done = step / steps
        longer = 1 + (stretch - 1) * done
        shared = np.random.default_rng([seed, step]).normal(0, 0.04)  # the prompts of the batch
        add("accuracy", 0.53 + gain * done + shared + rng.normal(0, 0.02))
        add("length", 94 * longer * (1 - shared) + rng.normal(0, 3))
        add("finished", 1.0)
        add("hwe", 4.2 * longer + rng.normal(0, 0.3))
        add("threshold", 0.8 - 0.03 * done + rng.normal(0, 0.003))
        add("grad_norm", 0.12)
        add("groups_dropped", rng.integers(3, 9))
        add("groups_refilled", 0 if arm in ("grpo", "released") else rng.integers(2, 4))
        for bucket in LEVELS:
            if bucket == "easy" and rng.random() < 0.05:
                continue  # no easy prompt in this batch
            add("hwe", START[bucket][2] * longer + rng.normal(0, 0.3), bucket)
            add("length", START[bucket][1] * longer + rng.normal(0, 3), bucket)
            add("target", START[bucket][2] * (1 + 0.05 * done), bucket)
            if arm in WITH_CONTROLLER:
                add("kappa", 0.01 * (1 + done * rng.normal(0, 0.3)) ** 2 + 1e-4, bucket)
            if arm in WITH_KL:
                add("kl_outside", 0.012 * done + abs(rng.normal(0, 0.002)), bucket)
                add("kl_window", 0.03 * done + abs(rng.normal(0, 0.01)), bucket)
        if arm in WITH_KL:
            add("kl", 0.013 * done + 1e-4)
            add("advantage_variance", 0.13 + rng.normal(0, 0.01))
            add("advantage_variance_kl_in_reward", 0.135 + rng.normal(0, 0.01))
    return rows


def timings_of(arm: str, seed: int, steps: int) -> list[tuple]:
    """Rows of the wall times of one run."""
    phases = {"sampling": 6.0, "scoring": 2.8 if arm in WITH_KL else 1.5, "update": 4.3}
    rows = [(arm, seed, step, "validation", 10.0) for step in (0, steps)]
    rows += [
        (arm, seed, t, p, s + 0.1 * seed) for t in range(1, steps + 1) for p, s in phases.items()
    ]
    return rows


def validation_of(arm: str, seed: int, steps: int) -> list[tuple]:
    """Rows of the validations of one run: at the start, every fourth batch and after the last."""
    rng = np.random.default_rng([seed, 7, *map(ord, arm)])
    gain, stretch = EFFECT[arm]
    rows = []
    for step in sorted({*range(0, steps + 1, 4), steps}):
        done = step / steps
        for level, shown in CELLS:
            accuracy, length, _ = START[level]
            noise = rng.normal(0, 0.02) if step else 0.0
            right = np.clip(accuracy + gain * done - 0.05 * (shown == "image") + noise, 0, 1)
            tokens = length * (1 + (stretch - 1) * done) * (1 + noise)
            rows.append((arm, seed, step, level, shown, 64, right, tokens, 1.0))
    return rows


def evaluation_of(arm: str, seed: int, per_level: int, samples: int) -> pd.DataFrame:
    """Rows of the test of one model."""
    rng = np.random.default_rng([seed, 3, *map(ord, arm)])
    hardness = {level: np.random.default_rng([5, i]) for i, level in enumerate(LEVELS)}
    gain, stretch = EFFECT.get(arm, (0.0, 1.0))
    gain += rng.normal(0, 0.01) - 0.04 * (arm == "base")
    parts = []
    for level, shown in CELLS:
        accuracy, length, hwe = START[level]
        own = hardness[level].normal(0, 0.15, per_level)
        right = rng.binomial(samples, np.clip(accuracy + gain + own, 0.01, 0.99))
        parts.append(
            pd.DataFrame(
                {
                    "problem_id": [f"{level}-{i}" for i in range(per_level)],
                    "level": level,
                    "k": 2 + LEVELS.index(level),
                    "presentation": shown,
                    "samples": samples,
                    "correct": right,
                    "n_tokens": length * stretch + rng.normal(0, 6, per_level),
                    "finished": samples,
                    "entropy": 0.25,
                    "hwe": np.clip(hwe * stretch + rng.normal(0, 0.4, per_level), 0, None),
                    "hwe_threshold": 0.8,
                }
            )
        )
    return pd.concat(parts).assign(arm=arm, seed=seed)


def trees_of(arm: str, seed: int, steps: int) -> list[tuple]:
    """Rows of the trees of one branching run: four roots, then four branches of these."""
    rng = np.random.default_rng([seed, 11])
    rows = []
    for step, prompt in ((s, p) for s in range(1, steps + 1) for p in range(3)):
        words = [[f"w{rng.integers(20)}" for _ in range(rng.integers(20, 90))] for _ in range(4)]
        parents, starts = [-1] * 4, [0] * 4
        if step > 1:  # the first batch has no threshold yet
            for _ in range(4):
                parent = int(rng.integers(4))
                start = int(rng.integers(3, len(words[parent]) - 2))
                fresh = [f"b{rng.integers(20)}" for _ in range(rng.integers(5, 60))]
                words.append(words[parent][:start] + fresh)
                parents.append(parent)
                starts.append(start)
        for rollout, text in enumerate(words):
            right = bool(rng.random() < 0.5)
            place = (parents[rollout], starts[rollout], len(text) + 1)
            rows.append((arm, seed, step, prompt, rollout, *place, right, " ".join(text)))
    return rows


def tables(
    steps: int = 16, seeds: tuple[int, ...] = (1, 2, 3), per_level: int = 40, samples: int = 8
) -> dict[str, pd.DataFrame]:
    """steps, timings, validation, evaluation and trees of all arms."""
    columns = {
        "steps": ["step", "metric", "bucket", "value"],
        "timings": ["step", "phase", "seconds"],
        "validation": [
            "step",
            "level",
            "presentation",
            "responses",
            "accuracy",
            "n_tokens",
            "finished",
        ],
        "trees": [
            "step",
            "prompt_index",
            "rollout",
            "parent",
            "branch_at",
            "n_tokens",
            "correct",
            "text",
        ],
    }
    makers = {"steps": steps_of, "timings": timings_of, "validation": validation_of}
    rows = {
        name: [row for run in runs(seeds) for row in make(*run, steps)]
        for name, make in makers.items()
    }
    rows["trees"] = [
        r for run in runs(seeds) if run[0] == "ares-branch" for r in trees_of(*run, steps)
    ]
    found = {n: pd.DataFrame(rows[n], columns=["arm", "seed", *columns[n]]) for n in columns}
    models = [(start, 0) for start in ("base", "adacs", "cs-vanilla")] + runs(seeds)
    tested = [evaluation_of(arm, seed, per_level, samples) for arm, seed in models]
    found["evaluation"] = pd.concat(tested, ignore_index=True)
    return found


def write(folder: str | Path, **sizes) -> Path:
    """Write the tables into a folder as a run of the workflow leaves them; see `tables`."""
    for name, table in tables(**sizes).items():
        write_table(Path(folder) / f"{name}.parquet", table)
    return Path(folder)


if __name__ == "__main__":
    write(sys.argv[1])
