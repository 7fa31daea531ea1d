"""The tables of the verdicts, and the command that writes them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from ares.errors import UserError
from ares.findings import judge, one, per_seed, table
from ares.forms import LEVELS
from ares.io import read_table, write_table
from tests.steps import script

COLUMNS = [
    "id",
    "claim",
    "paper",
    "ours",
    "ci_low",
    "ci_high",
    "unit",
    "n_seeds",
    "verdict",
    "scale",
]
ARMS = ("ares", "ares-no-kl", "ares-no-entropy", "dapo", "grpo")


@pytest.fixture
def judged(planted, run_of, rules):
    models = [planted.model("adacs", 0, planted.flat(0.5), planted.flat(50))]
    models += [
        planted.model("ares", seed, planted.flat(0.6), planted.flat(40), noise=0.01)
        for seed in (1, 2)
    ]
    return judge(run_of(evaluation=pd.concat(models)), rules, ["F9"])


def test_a_row_for_the_finding_and_one_for_every_part(judged):
    found = table(judged, "smoke")
    assert list(found) == COLUMNS
    assert found["id"].tolist() == ["F9", *(part.part.id for part in judged[0].parts)]
    whole = found.iloc[0]
    assert (whole["ours"], whole["unit"], whole["n_seeds"]) == (4, "of 5 parts", 2)
    assert whole["verdict"] == "partly"  # longer on hard problems: it is shorter
    assert math.isnan(whole["ci_low"]) and math.isnan(whole["paper"])
    hard = found.set_index("id").loc["F9.hard-length"]
    assert hard["verdict"] == "contradicted" and hard["paper"] == pytest.approx(3667.85)
    assert set(found["scale"]) == {"smoke"}


def test_the_numbers_of_every_seed(judged):
    found = per_seed(judged)
    assert list(found) == ["id", "seed", "value", "unit"]
    rows = found[found["id"] == "F9.easy-length"]
    assert rows["seed"].tolist() == [1, 2]
    assert rows["value"].mean() == pytest.approx(judged[0].parts[0].measured.found.value)


def test_one_finding_for_reading(judged):
    found = one(judged, "F9", digits=1).set_index("part")
    assert len(found) == 5
    assert found.loc["F9.easy-length", "ours"].startswith("-10.")
    assert found.loc["F9.easy-length", "seeds"].count(",") == 1
    with pytest.raises(UserError, match="there is no 'F8'; there are: F9"):
        one(judged, "F8")


def write_run(folder, planted) -> None:
    """All tables of a run in which every finding is as claimed, or nearly."""
    tables = planted.base(1)
    models = [
        planted.model(arm, 0, planted.flat(0.4), planted.flat(50))
        for arm in ("base", "adacs", "cs-vanilla")
    ]
    models += [
        planted.model(arm, s, planted.flat(0.5), planted.flat(50), 0.05)
        for arm in ARMS
        for s in (1, 2)
    ]
    names = ("hwe", "length", "accuracy", "advantage_variance", "advantage_variance_kl_in_reward")
    steps = [
        planted.curve(arm, s, **{n: np.arange(1.0, 10) for n in names})
        for arm in ARMS
        for s in (1, 2)
    ]
    tables |= {"evaluation": pd.concat(models), "steps": pd.concat(steps)}
    # In the file, tokens know their rollout only.
    tables["tokens"] = tables["tokens"].drop(columns=["problem_id", "level", "presentation"])
    for name, content in tables.items():
        write_table(folder / f"{name}.parquet", whole(name, content))


def whole(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the columns of its form that no finding looks at."""
    if name == "rollouts":
        numbers = [[1, 2 + LEVELS.index(level)] for level in table["level"]]
        target = table["problem_id"].str.rpartition("-")[2].astype(int) + 1
        ids = [f"{n[0]}-{n[1]}={t}" for n, t in zip(numbers, target, strict=True)]
        said = np.where(table["correct"], "correct", "wrong result")
        table = table.assign(numbers=numbers, target=target, problem_id=ids, verdict=said)
        return table.assign(k=2, text="", finished=True)
    if name == "tokens":
        return table.assign(
            token="", slot="", lexicon_top1=table["lexicon"], class_entropy=table["entropy"]
        )
    if name == "causal":
        return table.assign(alternatives=2, effect=0.1)
    if name == "evaluation":
        return table.assign(k=2, finished=100, entropy=0.1, hwe_threshold=1.0)
    return table


def judge_run(folder, out) -> int:
    files = {"findings": str(out), "seeds": str(folder / "seeds.csv")}
    return script("findings", "smoke", files, params={"tables": str(folder)})


def test_the_step_writes_all_verdicts_and_the_same_bytes_again(tmp_path, planted, rules, capsys):
    write_run(tmp_path, planted)
    outs = [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert [judge_run(tmp_path, out) for out in outs] == [0, 0]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    found = read_table(outs[0])
    assert list(found) == COLUMNS
    assert len(found) == sum(1 + len(finding.parts) for finding in rules.findings)
    assert found[["paper", "ours", "ci_low", "ci_high"]].dtypes.eq(float).all()
    words = {"reproduced", "contradicted", "partly", "not at this scale"}
    assert set(found["verdict"]) <= words
    assert read_table(tmp_path / "seeds.csv")["value"].notna().all()
    assert "F5: reproduced" in capsys.readouterr().out


def test_a_missing_table_is_one_line(tmp_path, planted, capsys):
    write_run(tmp_path, planted)
    (tmp_path / "steps.parquet").unlink()
    assert judge_run(tmp_path, tmp_path / "findings.csv") == 2
    assert "steps.parquet: no such table" in capsys.readouterr().err
