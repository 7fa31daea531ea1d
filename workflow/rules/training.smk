"""From the base model to trained ones: cold start, reinforcement learning, tests, findings.

One job trains one arm with one seed, and another one tests the model. An arm's list of seeds is no
setting of its runs, so a seed more means a run more and leaves the other runs alone.

What trains, and what training waits for, is started first: the longest chain of jobs decides how
long everything takes.
"""


wildcard_constraints:
    curation="|".join(CURATIONS),
    arm="|".join(ARMS),
    seed=r"\d+",
    model="|".join(["base", *CURATIONS, *RUNS]),
    run_table="|".join(RUN_TABLES),


rule pass_rates:
    """Measure how often the base model solves each training problem."""
    input:
        world=SCALE["world"],
        model=model_files,
        sources=module_sources("ares.workflow.pass_rates"),
    output:
        f"{RESULTS}/pass_rates.parquet",
    log:
        f"{RESULTS}/logs/pass_rates.txt",
    benchmark:
        f"{RESULTS}/benchmarks/pass-rates.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings(
            *("seed", "world", "model", "cold_start.per_level", "cold_start.samples"),
            *("rollouts.temperature", "rollouts.top_p", "rollouts.max_new_tokens"),
        ),
    message:
        "measuring the base model's pass rates"
    shell:
        "ares pass-rates --config {params.config} --out {output} 2>&1 | tee {log}"


rule traces:
    """Collect verified traces of the teachers: the pool that curation selects from."""
    input:
        pass_rates=f"{RESULTS}/pass_rates.parquet",
        world=SCALE["world"],
        model=model_files,
        sources=module_sources("ares.workflow.traces"),
    output:
        f"{RESULTS}/pool.parquet",
    log:
        f"{RESULTS}/logs/traces.txt",
    benchmark:
        f"{RESULTS}/benchmarks/traces.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "world", "model", "cold_start.teachers.traces", "aepo.max_new_tokens"),
    message:
        "collecting traces of the teachers"
    shell:
        "ares traces --config {params.config} --pass-rates {input.pass_rates} --out {output}"
        " 2>&1 | tee {log}"


rule curate:
    """Select the traces of both cold starts: by difficulty (AdaCS) and without regard to length."""
    input:
        pass_rates=f"{RESULTS}/pass_rates.parquet",
        pool=f"{RESULTS}/pool.parquet",
        sources=module_sources("ares.workflow.curate"),
    output:
        f"{RESULTS}/selection.parquet",
    log:
        f"{RESULTS}/logs/curate.txt",
    benchmark:
        f"{RESULTS}/benchmarks/curate.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "cold_start.size", "cold_start.samples"),
    message:
        "selecting the traces of the cold starts"
    shell:
        "ares curate --config {params.config} --pass-rates {input.pass_rates} --pool {input.pool}"
        " --out {output} 2>&1 | tee {log}"


rule sft:
    """Fine-tune the base model on one selection: a cold start."""
    input:
        selection=f"{RESULTS}/selection.parquet",
        world=SCALE["world"],
        model=model_files,
        sources=module_sources("ares.workflow.sft"),
    output:
        directory(f"{RESULTS}/models/{{curation}}"),
    log:
        f"{RESULTS}/logs/sft/{{curation}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/sft-{{curation}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "world", "model", "cold_start.sft"),
    message:
        "fine-tuning the base model on {wildcards.curation}"
    shell:
        "ares sft --config {params.config} --selection {input.selection}"
        " --curation {wildcards.curation} --out {output} 2>&1 | tee {log}"


rule train:
    """Train one arm with one seed by reinforcement learning.

    The state of an interrupted run lies beside the outputs, which Snakemake would remove, and the
    same run goes on from there; a run with other settings has a state of its own.
    """
    input:
        start=start_files,
        world=SCALE["world"],
        sources=module_sources("ares.workflow.train"),
    output:
        model=directory(f"{RESULTS}/models/{{arm}}-s{{seed}}"),
        steps=f"{RESULTS}/runs/{{arm}}-s{{seed}}/steps.parquet",
        timings=f"{RESULTS}/runs/{{arm}}-s{{seed}}/timings.parquet",
        validation=f"{RESULTS}/runs/{{arm}}-s{{seed}}/validation.parquet",
        trees=f"{RESULTS}/runs/{{arm}}-s{{seed}}/trees.parquet",
    log:
        f"{RESULTS}/logs/train/{{arm}}-s{{seed}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/train-{{arm}}-s{{seed}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        start=start_model,
        state=state_folder,
        settings=arm_settings,
    message:
        "training {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "ares train --config {params.config} --arm {wildcards.arm} --seed {wildcards.seed}"
        " --start {params.start:q} --state {params.state} --model-out {output.model}"
        " --steps-out {output.steps} --timings-out {output.timings}"
        " --validation-out {output.validation} --trees-out {output.trees} 2>&1 | tee {log}"


rule run_table:
    """Join one table of all runs."""
    input:
        shards=expand(f"{RESULTS}/runs/{{run}}/{{{{run_table}}}}.parquet", run=RUNS),
        sources=module_sources("ares.workflow.merge"),
    output:
        f"{RESULTS}/{{run_table}}.parquet",
    log:
        f"{RESULTS}/logs/{{run_table}}.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    message:
        "joining {wildcards.run_table} of all runs"
    shell:
        "ares merge --out {output} {input.shards} 2>&1 | tee {log}"


rule evaluate:
    """Test one model; the base model's entropy threshold counts the HWE tokens of all."""
    input:
        model=evaluated_files,
        world=SCALE["world"],
        threshold=threshold_table,
        sources=module_sources("ares.workflow.evaluate"),
    output:
        f"{RESULTS}/evaluations/{{model}}.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{model}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate-{{model}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        model=evaluated_model,
        named=lambda wildcards: "--arm {} --seed {}".format(*MODELS[wildcards.model]),
        threshold=lambda wildcards, input: (
            f"--threshold-from {input.threshold}" if input.threshold else ""
        ),
        settings=settings(
            *("seed", "world", "problems.levels", "problems.presentations"),
            *("rollouts.temperature", "rollouts.top_p", "evaluation"),
        ),
    message:
        "testing {wildcards.model}"
    shell:
        "ares evaluate --config {params.config} --model {params.model:q} {params.named}"
        " {params.threshold} --out {output} 2>&1 | tee {log}"


rule evaluation:
    """Join the tests of all models."""
    input:
        shards=expand(f"{RESULTS}/evaluations/{{model}}.parquet", model=MODELS),
        sources=module_sources("ares.workflow.merge"),
    output:
        f"{RESULTS}/evaluation.parquet",
    log:
        f"{RESULTS}/logs/evaluation.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    message:
        "joining the tests of all models"
    shell:
        "ares merge --out {output} {input.shards} 2>&1 | tee {log}"


rule findings:
    """Judge the paper's findings by the rule book."""
    input:
        tables=expand(f"{RESULTS}/{{table}}.parquet", table=JUDGED),
        rules="config/findings.yaml",
        paper=sorted(str(path) for path in Path("data/paper").glob("*.csv")),
        sources=module_sources("ares.workflow.findings"),
    output:
        f"{RESULTS}/findings.csv",
    log:
        f"{RESULTS}/logs/findings.txt",
    benchmark:
        f"{RESULTS}/benchmarks/findings.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        tables=subpath(output[0], parent=True),
        settings=settings("scale", "seed", "windows", "bootstrap"),
    message:
        "judging the findings"
    shell:
        "ares findings --config {params.config} --tables {params.tables} --out {output}"
        " 2>&1 | tee {log}"
