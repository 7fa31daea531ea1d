"""Judge the paper's findings by the rule book, and tell the verdicts."""

from ares.findings import Run, judge, load_rules, per_seed, table
from ares.findings.verdicts import as_text
from ares.io import write_table
from ares.steps import step

with step(snakemake) as scale:
    rules = load_rules()
    judged = judge(Run.of(snakemake.params.tables, scale, rules), rules)
    write_table(snakemake.output.findings, as_text(table(judged, scale.scale)))
    write_table(snakemake.output.seeds, as_text(per_seed(judged)))
    for entry in judged:
        print(f"{entry.finding.id}: {entry.verdict}")
