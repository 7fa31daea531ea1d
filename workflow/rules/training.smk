"""From the base model to trained ones: pass rates, cold start, reinforcement learning.

One job trains one arm with one seed, and another one tests the model. An arm's list of seeds is no
setting of its runs, so a seed more means a run more and leaves the other runs alone.

What trains, and what training waits for, is started first: the longest chain of jobs decides how
long everything takes. What samples or trains with real models is started by the config's `launch`
and counts its GPUs as a resource. The state of an interrupted training lies beside the outputs,
which Snakemake would remove, and the same job goes on from there; answers of a model are kept in
results/<scale>/store/, so a job that was killed asks for the rest.
"""


wildcard_constraints:
    shard=r"\d+",
    use="cold-start|aepo",
    curation="|".join(CURATIONS),
    arm="|".join(ARMS),
    seed=r"\d+",
    model="|".join(MODELS),


rule chosen:
    """Choose the problems of the cold start, or the prompts of AEPO."""
    input:
        material=MATERIAL,
        model=files_of_model("base"),
        sources=script_sources("chosen"),
    output:
        f"{RESULTS}/problems/{{use}}.parquet",
    log:
        f"{RESULTS}/logs/problems/{{use}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/problems-{{use}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    params:
        use=lambda wildcards: wildcards.use,
        settings=lambda wildcards: settings(
            *("seed", "world", "model", "problems.levels", "problems.presentations"),
            *(
                ("cold_start.data", "cold_start.per_level", "cold_start.max_prompt_tokens")
                if wildcards.use == "cold-start"
                else ("aepo.data", "aepo.per_level", "aepo.pictures", "aepo.max_prompt_tokens")
            ),
        ),
    message:
        "choosing problems for {wildcards.use}"
    script:
        "../scripts/chosen.py"


rule pass_rate_shard:
    """Measure how often the base model solves the training problems of one shard."""
    input:
        problems=f"{RESULTS}/problems/cold-start.parquet",
        material=MATERIAL,
        model=files_of_model("base"),
        sources=step_sources("pass_rates"),
    output:
        f"{RESULTS}/pass_rates/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/pass_rates/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/pass-rates-{{shard}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: THREADS["sampling"]
    resources:
        gpu=GPUS.sampling,
    params:
        config=CONFIG_FILE,
        launch=LAUNCH.sampling,
        store=f"{RESULTS}/store/pass_rates-{{shard}}.sqlite",
        settings=settings(
            *("seed", "world", "model", "backend.kind", "problems.levels"),
            *("problems.presentations", "cold_start.per_level", "cold_start.samples"),
            *("cold_start.temperature", "cold_start.top_p", "cold_start.max_new_tokens"),
            "cold_start.shards",
        ),
    message:
        "measuring the base model's pass rates, shard {wildcards.shard}"
    shell:
        "{params.launch} ares.launch pass-rates --config {params.config} --problems {input.problems}"
        " --shard {wildcards.shard} --store {params.store} --out {output} 2>&1 | tee {log}"


rule pool_shard:
    """Collect verified traces for the problems of one shard: the teachers', or the data sets' own."""
    input:
        problems=f"{RESULTS}/problems/cold-start.parquet",
        material=MATERIAL,
        model=files_of_model("base"),
        sources=script_sources("pool"),
    output:
        f"{RESULTS}/pool/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/pool/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/pool-{{shard}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: THREADS["sampling"]
    params:
        store=f"{RESULTS}/store/traces-{{shard}}.sqlite",
        settings=settings(
            *("seed", "world", "model", "cold_start.shards", "cold_start.traces"),
            *("cold_start.sft.max_length", "aepo.max_new_tokens"),
            teachers=SCALE.cold_start.teachers.model_dump(exclude={"parallel"}),
        ),
    message:
        "collecting traces, shard {wildcards.shard}"
    script:
        "../scripts/pool.py"


rule curate:
    """Select the traces of both cold starts: by difficulty (AdaCS) and without regard to length."""
    input:
        pass_rates=f"{RESULTS}/pass_rates.parquet",
        pool=f"{RESULTS}/pool.parquet",
        sources=script_sources("curate"),
    output:
        f"{RESULTS}/selection.parquet",
    log:
        f"{RESULTS}/logs/curate.txt",
    benchmark:
        f"{RESULTS}/benchmarks/curate.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    params:
        settings=settings("seed", "cold_start.size", "cold_start.samples"),
    message:
        "selecting the traces of the cold starts"
    script:
        "../scripts/curate.py"


rule sft:
    """Fine-tune the base model on one selection: a cold start."""
    input:
        selection=f"{RESULTS}/selection.parquet",
        material=MATERIAL,
        model=files_of_model("base"),
        sources=step_sources("sft"),
    output:
        model=directory(f"{RESULTS}/models/{{curation}}"),
        losses=f"{RESULTS}/losses/{{curation}}.parquet",
    log:
        f"{RESULTS}/logs/sft/{{curation}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/sft-{{curation}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: THREADS["training"]
    resources:
        gpu=GPUS.training,
    params:
        config=CONFIG_FILE,
        launch=LAUNCH.training,
        state=sft_state,
        settings=sft_settings(),
    message:
        "fine-tuning the base model on {wildcards.curation}"
    shell:
        "{params.launch} ares.launch sft --config {params.config} --selection {input.selection}"
        " --curation {wildcards.curation} --state {params.state} --model-out {output.model}"
        " --losses-out {output.losses} 2>&1 | tee {log}"


rule train:
    """Train one arm with one seed by reinforcement learning."""
    input:
        prompts=f"{RESULTS}/problems/aepo.parquet",
        material=MATERIAL,
        start=lambda wildcards: files_of_model(start_of(wildcards)),
        sources=step_sources("train"),
    output:
        model=directory(f"{RESULTS}/models/{{arm}}-s{{seed}}"),
        tables=[f"{RESULTS}/runs/{{arm}}-s{{seed}}/{table}.parquet" for table in RUN_TABLES],
    log:
        f"{RESULTS}/logs/train/{{arm}}-s{{seed}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/train-{{arm}}-s{{seed}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: THREADS["training"]
    resources:
        gpu=GPUS.training,
    params:
        config=CONFIG_FILE,
        launch=LAUNCH.training,
        start=lambda wildcards: model_folder(start_of(wildcards)),
        state=train_state,
        tables=subpath(output[1], parent=True),
        settings=arm_settings,
    message:
        "training {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "{params.launch} ares.launch train --config {params.config} --prompts {input.prompts}"
        " --arm {wildcards.arm} --seed {wildcards.seed} --start {params.start:q}"
        " --state {params.state} --model-out {output.model} --tables-out {params.tables}"
        " 2>&1 | tee {log}"


rule join:
    """Join the parts of a table: shards, runs, or tests of all models."""
    input:
        parts=lambda wildcards: PARTS[wildcards.table],
        sources=script_sources("join"),
    output:
        f"{RESULTS}/{{table}}.parquet",
    log:
        f"{RESULTS}/logs/{{table}}.txt",
    wildcard_constraints:
        table="|".join(PARTS),
    conda:
        "../envs/ares.yaml"
    message:
        "joining {wildcards.table}"
    script:
        "../scripts/join.py"
