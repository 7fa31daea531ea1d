"""Label every token of the rollouts, and keep the top log-probabilities of some."""

from ares.analysis.tokens import token_tables
from ares.data.problems import problems_of
from ares.io import write_table
from ares.method.lexicon import load_lexicon
from ares.model.load import load
from ares.sampling.rollouts import check_tokens
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    path = snakemake.input.rollouts
    rollouts = read_form(path, "rollouts", "token_ids", "entropy", "logprob")
    model, processor, world = load(scale)
    problems = problems_of(scale, rollouts, path)
    check_tokens(rollouts, model, path)
    read = rollouts, problems, model, processor, world.language, load_lexicon()
    tokens, top_k = token_tables(*read, scale.rollouts.temperature)
    write_table(snakemake.output.top_k, top_k)
    write_table(snakemake.output.tokens, tokens)
