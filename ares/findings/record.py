"""The reproducibility record docs/reproducibility.md: its text, with the reference run's numbers.

`python -m ares.findings.record > docs/reproducibility.md` makes it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pandas as pd

from ares.findings.page import by_kind
from ares.io import read_json, read_table
from ares.method.presets import preset
from ares.paths import DATA, REFERENCE

TEMPLATE = Path(__file__).with_name("record.md")
BASE_CARD = DATA / "base" / "README.md"


def render(folder: Path = REFERENCE, template: Path = TEMPLATE) -> str:
    """The page, from the tables and the manifest in a folder."""
    manifest = read_json(folder / "manifest.json")
    config = manifest["config"]
    findings = read_table(folder / "findings.csv")
    evaluated, aepo = config["evaluation"], config["aepo"]
    seeds = sorted({seed for arm in aepo["arms"].values() for seed in arm["seeds"]})
    seconds = manifest["job_seconds"]
    packages = ("torch", "transformers", "numpy", "pandas", "matplotlib")
    machine = manifest["machine"]
    return template.read_text(encoding="utf-8").format(
        counts=_counts(findings),
        findings="\n".join(_finding_rows(findings)),
        steps=aepo["steps"],
        rollouts=aepo["prompts"] * preset("ares").group_size,
        commit=manifest["commit"]["hash"][:12],
        changed=" with uncommitted changes" if manifest["commit"]["changed"] else "",
        seed=config["seed"],
        seeds=", ".join(map(str, seeds)),
        runs=sum(len(arm["seeds"]) for arm in aepo["arms"].values()),
        evaluations=sum(name.startswith("evaluate-") for name in seconds),
        problems=evaluated["per_level"],
        samples=evaluated["samples"],
        resamples=f"{config['bootstrap']['resamples']:,}",
        machine=f"{machine['system']}, {machine['architecture']}, {machine['cores']} cores, "
        f"Python {machine['python']}",
        packages=", ".join(f"{name} {manifest['packages'][name]}" for name in packages),
        minutes=round(sum(seconds.values()) / 60),
        base=_base_minutes(),
        jobs="\n".join(
            f"| {kind} | {len(spent)} | {sum(spent) / 60:.1f} |" for kind, spent in by_kind(seconds)
        ),
        tables="\n".join(_table_rows(folder)),
    )


def _counts(findings: pd.DataFrame) -> str:
    whole = findings[~findings["id"].str.contains(".", regex=False)]
    of_paper = whole[whole["id"].str.startswith("F")]["verdict"].value_counts()
    told = ", ".join(f"{count} {verdict}" for verdict, count in of_paper.items())
    return f"Of the paper's {of_paper.sum()} findings that are judged: {told}."


def _finding_rows(findings: pd.DataFrame) -> list[str]:
    rows = []
    for _, row in findings[~findings["id"].str.contains(".", regex=False)].iterrows():
        held = f"{row['ours']:.0f} {row['unit']}"
        rows.append(f"| {row['id']} | {row['verdict']} | {held} | {row['claim']} |")
    return rows


def _base_minutes() -> str:
    found = re.search(r"\| training time \| (\d+) minutes", BASE_CARD.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{BASE_CARD}: no training time")
    return found[1]


def _table_rows(folder: Path) -> list[str]:
    rows = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        rows.append(f"| `{path.name}` | {len(content):,} | `{digest}` |")
    return rows


if __name__ == "__main__":
    print(render(), end="")
