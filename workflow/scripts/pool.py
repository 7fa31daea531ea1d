"""Collect verified traces of the teachers: the pool that curation selects from."""

from ares.coldstart.pool import build_pool
from ares.coldstart.teachers import SmallWorldTeachers
from ares.io import write_table
from ares.sampling.policy import load
from ares.sampling.rollouts import check_tasks, tasks_from_table
from ares.steps import step
from ares.tables import read_form

with step(snakemake) as scale:
    path = snakemake.input.problems
    _, processor, world = load(scale)
    tasks = tasks_from_table(read_form(path, "pass_rates"), look=scale.seed)
    check_tasks(tasks, world, path)
    teachers = SmallWorldTeachers(world, scale.cold_start.teachers.traces, scale.seed)
    # What reinforcement learning can't say later, the cold start need not teach.
    limit = scale.aepo.max_new_tokens
    pool = build_pool(tasks, teachers, processor.tokenizer, world, limit, progress="traces")
    write_table(snakemake.output[0], pool.traces)
