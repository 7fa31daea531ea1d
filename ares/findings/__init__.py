"""Findings, judged by the rules of config/findings.yaml, which were fixed before the run.

`rules` reads the rule book, `quantities` computes the numbers it names from a `run`, `verdicts`
judges them and puts them into tables; `page` writes the findings page from `cards`. In a notebook:

    judged = judge(Run.of("data/reference", settings, rules), rules)
    show_table(one(judged, "F8"))
"""

from ares.findings.rules import load_rules
from ares.findings.run import Run
from ares.findings.verdicts import judge, one, per_seed, table

__all__ = ["Run", "judge", "load_rules", "one", "per_seed", "table"]
