"""What is made from files: pages with numbers of the reference run, the presets, and the schemas by
which editors check the settings in YAML files.

python docs/generate.py reproducibility > docs/reproducibility.md
python docs/generate.py paper-vs-code > docs/paper-vs-code.md
python docs/generate.py presets > docs/presets.md
python docs/generate.py tuning > docs/tuning.md
python docs/generate.py answers > docs/answers.md
python docs/generate.py schemas
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from textwrap import wrap
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from ares.config import Scale
from ares.data.world_settings import World
from ares.evaluation.registry import Benchmark, Registry
from ares.findings.page import by_kind
from ares.findings.rules import Rules
from ares.io import read_json, read_table
from ares.method.difficulty import BUCKETS
from ares.method.presets import FILE, MethodSettings, preset
from ares.method.reward import smallest_inverting_target
from ares.model.base_settings import Base
from ares.paths import CONFIG, DATA, FIGURES, REFERENCE, ROOT
from ares.settings import read_yaml

TEMPLATES = Path(__file__).parent / "templates"
BASE_CARD = DATA / "base" / "README.md"


def reproducibility(folder: Path = REFERENCE) -> str:
    """The reproducibility record, from the tables and the manifest in a folder."""
    manifest = read_json(folder / "manifest.json")
    config, machine = manifest["config"], manifest["machine"]
    arms, tests = config["aepo"]["arms"].values(), config["evaluation"]
    findings = read_table(folder / "findings.csv")
    findings = findings[~findings["id"].str.contains(".", regex=False)]
    counts = findings[findings["id"].str.startswith("F")]["verdict"].value_counts()
    seconds = manifest["job_seconds"]
    packages = ("torch", "transformers", "numpy", "pandas", "matplotlib")
    base = re.search(r"\| training time \| (\d+) minutes", BASE_CARD.read_text(encoding="utf-8"))
    if base is None:
        raise ValueError(f"{BASE_CARD}: no training time")
    return _template("reproducibility").format(
        counts=f"Of the paper's {counts.sum()} findings that are judged: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ".",
        findings="\n".join(
            f"| {row.id} | {row.verdict} | {row.ours:.0f} {row.unit} | {row.claim} |"
            for row in findings.itertuples()
        ),
        steps=config["aepo"]["steps"],
        rollouts=config["aepo"]["prompts"] * preset("ares").group_size,
        commit=manifest["commit"]["hash"][:12],
        changed=" with uncommitted changes" if manifest["commit"]["changed"] else "",
        seed=config["seed"],
        seeds=", ".join(map(str, sorted({seed for arm in arms for seed in arm["seeds"]}))),
        runs=sum(len(arm["seeds"]) for arm in arms),
        evaluations=sum(name.startswith("evaluate-") for name in seconds),
        problems=tests["per_level"],
        samples=tests["samples"],
        resamples=f"{config['bootstrap']['resamples']:,}",
        machine=f"{machine['system']}, {machine['architecture']}, {machine['cores']} cores, "
        f"Python {machine['python']}",
        packages=", ".join(f"{name} {manifest['packages'][name]}" for name in packages),
        minutes=round(sum(seconds.values()) / 60),
        base=base[1],
        jobs="\n".join(
            f"| {kind} | {len(spent)} | {sum(spent) / 60:.1f} |" for kind, spent in by_kind(seconds)
        ),
        tables="\n".join(
            f"| `{path.name}` | {path.stat().st_size:,} "
            f"| `{hashlib.sha256(path.read_bytes()).hexdigest()}` |"
            for path in sorted(folder.iterdir())
        ),
    )  # fmt: skip


def paper_vs_code(numbers: pd.DataFrame | None = None) -> str:
    """The paper against its released code.

    Args:
        numbers: the table behind the figure of notebook 06; None: the reference run's. In the
            template, `{section/name:format}` stands for a number of it, for other panels
            `{panel/name:format}` or `{panel/name/column:format}`.
    """
    if numbers is None:
        numbers = pd.read_csv(FIGURES / "reference" / "paper_vs_code.csv")
    least = smallest_inverting_target(BUCKETS.index("hard"), preset("released").entropy_weight)
    known = {"smallest target": float(least or "nan")}
    for row in numbers.to_dict("records"):
        place = row["section"] if row["panel"] == "numbers" else row["panel"]
        known[f"{place}/{row['name']}"] = row["value"]
        for column in ("inverted", "pairs"):
            known[f"{place}/{row['name']}/{column}"] = row[column]
    return re.sub(
        r"\{([^{}]+):([^:{}]+)\}",
        lambda hit: format(known[hit[1]], hit[2]),
        _template("paper-vs-code"),
    )


def presets() -> str:
    """Every setting of the method with its values and their sources."""
    sourced = read_yaml(FILE)
    arms = sourced.pop("arms")

    def shown(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [
        "# Presets",
        "",
        "Made by `python docs/generate.py presets` from `ares/method/presets.yaml`.",
        "Equation, figure and table numbers are the paper's (arXiv 2510.08457v1).",
        "",
        "| setting | meaning | " + " | ".join(f"`{name}`" for name in sourced) + " |",
        "|---" * (2 + len(sourced)) + "|",
    ]
    for name, field in MethodSettings.__pydantic_fields__.items():
        cited = [entry[name] for entry in sourced.values()]
        cells = [f"{shown(value)} ({source})" for value, source in cited]
        lines.append(f"| `{name}` | {field.description} | {' | '.join(cells)} |")
    lines += [
        "",
        "## Arms of the ablation",
        "",
        "Each equals `ares` but for these values.",
        "",
        "| arm | setting | value | source |",
        "|---|---|---|---|",
    ]
    for arm, changes in arms.items():
        lines += [f"| `{arm}` | `{s}` | {shown(v)} | {why} |" for s, (v, why) in changes.items()]
    return "\n".join(lines) + "\n"


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.md").read_text(encoding="utf-8")


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON schema of every kind of YAML file that a person edits, by its name."""
    named = {"scale": Scale, "world": World, "base": Base, "findings": Rules, "registry": Registry}
    found = {name: model.model_json_schema() for name, model in named.items()}
    # An entry of a registry may take over the keys of another that it names.
    entry = Benchmark.model_json_schema()
    found["registry"]["$defs"] = entry.pop("$defs")
    entry["properties"]["like"] = {"type": "string", "description": "An entry before this one"}
    del entry["required"]
    found["registry"]["properties"]["benchmarks"]["additionalProperties"] = entry
    # Every setting of a preset stands beside its source.
    method = TypeAdapter(MethodSettings).json_schema()["properties"]
    sourced = {
        name: {"prefixItems": [setting, {"type": "string"}], "minItems": 2, "maxItems": 2}
        for name, setting in method.items()
    }
    one = {"type": "object", "properties": sourced, "additionalProperties": False}
    arms = {"type": "object", "additionalProperties": one}
    every = {**one, "required": list(method)}
    presets = {"type": "object", "properties": {"arms": arms}, "additionalProperties": every}
    # (JSON has no NaN, which stands for a number that the paper does not give.)
    return json.loads(json.dumps({**found, "presets": presets}), parse_constant=lambda _: None)


def tuning() -> str:
    """The runs that chose the rates and what `ares` is, at their last batch."""
    table = read_table(DATA / "tuning.csv").fillna({"changes": ""})
    run = ["start", "preset", "changes", "lr", "seed"]
    last = table[table["batch"] == table.groupby(run)["batch"].transform("max")]
    about = (
        "Made by `python docs/generate.py tuning` from `data/tuning.csv`, which also has the "
        "batches in between: accuracy and length on validation problems of the world in which "
        "exploration pays, in words, with seeds that are used nowhere else. Runs start from the "
        "base model or from its cold start `adacs`. A batch has 256 rollouts and 4 updates; the "
        "rate falls to 0 at the last one. Runs with a filter refill groups, so they sample up "
        "to twice as much. The preset `ares` of these runs is an older one: filter, average "
        "over tokens, clip 0.3, no probe, entropy reward in all groups, KL budget 0.02. Every "
        "run is one seed: with "
        f"{last['responses'].min()} responses a level, differences below 3 points are noise."
    )
    heads = ["start", "preset", "changes", "rate", "seed", "batches", *BUCKETS]
    heads += ["tokens, easy", "tokens, hard"]
    lines = ["# Tuning", "", *wrap(about, 98), "", f"| {' | '.join(heads)} |"]
    lines.append("|---" * len(heads) + "|")
    for (start, name, changes, lr, seed), rows in last.groupby(run, sort=False):
        by = rows.set_index("level")
        right = " | ".join(f"{by.loc[level, 'accuracy']:.3f}" for level in BUCKETS)
        tokens = " | ".join(f"{by.loc[level, 'tokens']:.0f}" for level in ("easy", "hard"))
        cells = f"| {start} | `{name}` | {changes} | {lr:g} | {seed} | {by['batch'].iloc[0]} "
        lines.append(f"{cells}| {right} | {tokens} |")
    return "\n".join(lines) + "\n"


def answers() -> str:
    """What counts as equal to a gold answer and what does not: the cases of a test."""
    about = (
        "Made by `python docs/generate.py answers` from `tests/answers/reported.jsonl`: answers of "
        "models and golds of data sets that people reported because a grader got them wrong, and "
        "what `ares benchmark` and `ares grade` say of them. The rules stand at the heads of "
        "`ares/evaluation/values.py`, `compare.py`, `choices.py` and `text.py`."
    )
    lines = ["# What counts as equal", "", *wrap(about, 98), ""]
    lines += ["| type | gold | answer | verdict |", "|---|---|---|---|"]
    cases = (ROOT / "tests/answers/reported.jsonl").read_text(encoding="utf-8").splitlines()
    for case in map(json.loads, cases):
        shown = case.get("response") or case["boxed"]
        cells = (
            f"`` {' '.join(text.split()).replace('|', '¦')} ``" for text in (case["gold"], shown)
        )
        lines.append(f"| {case['type']} | {' | '.join(cells)} | {case['status']} |")
    return "\n".join(lines) + "\n"


PAGES = {
    "answers": answers,
    "reproducibility": reproducibility,
    "paper-vs-code": paper_vs_code,
    "presets": presets,
    "tuning": tuning,
}

if __name__ == "__main__":
    if sys.argv[1] == "schemas":
        for schema, content in schemas().items():
            text = json.dumps(content, indent=1) + "\n"
            (CONFIG / "schemas" / f"{schema}.json").write_text(text, encoding="utf-8")
    else:
        print(PAGES[sys.argv[1]](), end="")
