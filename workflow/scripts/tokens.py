"""Label every token of the rollouts, and keep the top log-probabilities of some."""

from ares.analysis.tokens import Scoring, token_tables
from ares.io import write_table
from ares.method.lexicon import load_lexicon
from ares.problems import problems_of
from ares.sampling.policy import load
from ares.sampling.rollouts import check_tokens
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    path = snakemake.input.rollouts
    rollouts = read_form(path, "rollouts", "token_ids", "entropy", "logprob")
    model, processor, world = load(scale)
    problems = problems_of(scale, rollouts, path)
    check_tokens(rollouts, model, path)
    scoring = Scoring(scale.rollouts.temperature, top_k=20, top_k_rollouts=64, batch_size=32)
    read = rollouts, problems, model, processor, world.language, load_lexicon(), scoring
    tokens, top_k = token_tables(*read)
    write_table(snakemake.output.top_k, top_k)
    write_table(snakemake.output.tokens, tokens)
