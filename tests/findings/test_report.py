"""The tables of the verdicts, and the step that writes them."""

import math

import pandas as pd
import pytest

from ares.errors import UserError
from ares.findings import judge, one, per_seed, table
from ares.findings.rules import VERDICTS
from ares.io import read_table
from ares.paths import REFERENCE
from ares.tables import columns_of
from tests.steps import script


@pytest.fixture
def judged(planted, run_of, rules):
    models = [planted.model("ares", seed, 0.6, 40, noise=0.01) for seed in (1, 2)]
    models += [planted.model(arm, seed) for arm, seed in (("adacs", 0), ("grpo", 1), ("grpo", 2))]
    evaluation = pd.concat(models)
    return judge(run_of(evaluation=evaluation), rules, ["F9"])


def test_rows_for_the_finding_every_part_and_every_seed(judged):
    found = table(judged, "smoke")
    assert list(found) == columns_of("findings", "findings")
    assert found["id"].tolist() == ["F9", *(part.part.id for part in judged[0].parts)]
    whole = found.iloc[0]
    assert (whole["ours"], whole["unit"], whole["n_seeds"]) == (4, "of 5 parts", 2)
    assert whole["verdict"] == "partly"  # longer on hard problems: it is shorter
    assert math.isnan(whole["ci_low"]) and math.isnan(whole["paper"])
    hard = found.set_index("id").loc["F9.hard-length"]
    assert hard["verdict"] == "contradicted" and math.isnan(hard["paper"])
    paper = found.set_index("id").loc["F9.hard-length-trained", "paper"]
    assert paper == pytest.approx(3667.85)
    assert set(found["scale"]) == {"smoke"}
    found = per_seed(judged)
    rows = found[found["id"] == "F9.easy-length"]
    assert rows["seed"].tolist() == [1, 2]
    assert rows["value"].mean() == pytest.approx(judged[0].parts[0].measured.found.value)
    found = one(judged, "F9", digits=1).set_index("part")
    assert len(found) == 10
    assert found.loc["F9.easy-length", "ours"].startswith("-10.")
    assert found.loc["F9.easy-length", "seeds"].count(",") == 1
    with pytest.raises(UserError, match="there is no 'F8'; there are: F9"):
        one(judged, "F8")


def judge_run(folder, out) -> int:
    files = {"findings": str(out / "findings.csv"), "seeds": str(out / "seeds.csv")}
    return script("findings", "smoke", files, params={"tables": str(folder)})


def test_the_step_judges_every_part_of_the_rule_book(tmp_path, rules, capsys):
    assert judge_run(REFERENCE, tmp_path) == 0
    found = read_table(tmp_path / "findings.csv")
    assert len(found) == sum(1 + len(finding.parts) for finding in rules.findings)
    assert found[["paper", "ours", "ci_low", "ci_high"]].dtypes.eq(float).all()
    assert set(found["verdict"]) <= {*VERDICTS}
    assert read_table(tmp_path / "seeds.csv")["value"].notna().all()
    assert "F5: reproduced" in capsys.readouterr().out
