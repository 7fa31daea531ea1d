"""Findings, judged by the rules of config/findings.yaml, which were fixed before the run.

`rules` reads the rule book and decides, `quantities` computes the numbers it names from a `run`,
`report` puts all of it into tables. In a notebook:

    judged = judge(Run.of("data/reference", settings, rules), rules)
    show_table(one(judged, "F8"))
"""

from ares.findings.markdown import judge, one, per_seed, table
from ares.findings.rules import load_rules
from ares.findings.run import Run

__all__ = ["Run", "judge", "load_rules", "one", "per_seed", "table"]
