"""Responses of one model token by token: problems, rollouts, entropies and labels.

A table that takes long is made in shards. Their number is part of the config, not of the machine,
so the tables are the same on one core and on many. Causal labels are of the small world only.
"""


rule problems:
    """Choose the problems of the analysis: of the world's held-out split, or of data sets."""
    input:
        material=MATERIAL + TESTED,
        model=files_of_model("base"),
        sources=script_sources("chosen"),
    output:
        f"{RESULTS}/problems.parquet",
    log:
        f"{RESULTS}/logs/problems.txt",
    conda:
        "../envs/ares.yaml"
    params:
        use="rollouts",
        settings=settings("seed", "world", "tested", "model", "problems"),
    message:
        "choosing the problems of the analysis"
    script:
        "../scripts/chosen.py"


rule rollout_shard:
    """Sample responses to one shard of the problems."""
    input:
        problems=f"{RESULTS}/problems.parquet",
        material=MATERIAL + TESTED,
        model=files_of_model(SCALE.rollouts.model),
        sources=step_sources("rollouts"),
    output:
        f"{RESULTS}/rollouts/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/rollouts/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/rollouts-{{shard}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: THREADS["sampling"]
    resources:
        gpu=GPUS.sampling,
    params:
        config=CONFIG_FILE,
        launch=LAUNCH.sampling,
        model=lambda _: model_folder(SCALE.rollouts.model),
        store=f"{RESULTS}/store/rollouts-{{shard}}.sqlite",
        settings=settings("seed", "world", "tested", "backend.kind", "rollouts"),
    message:
        "sampling responses, shard {wildcards.shard}"
    shell:
        "{params.launch} ares.launch rollouts --config {params.config} --problems {input.problems}"
        " --shard {wildcards.shard} --model {params.model:q} --store {params.store} --out {output}"
        " 2>&1 | tee {log}"


rule tokens:
    """Label every token, and keep the top log-probabilities of some rollouts.

    Entropies are those that the package's own sampler saw, or else computed from the rollouts here.
    """
    input:
        rollouts=f"{RESULTS}/rollouts.parquet",
        material=MATERIAL + TESTED,
        model=files_of_model(SCALE.rollouts.model),
        sources=step_sources("tokens"),
    output:
        tokens=f"{RESULTS}/tokens.parquet",
        top_k=f"{RESULTS}/top_k.parquet",
    log:
        f"{RESULTS}/logs/tokens.txt",
    benchmark:
        f"{RESULTS}/benchmarks/tokens.tsv"
    conda:
        "../envs/ares.yaml"
    threads: THREADS["sampling"]
    resources:
        gpu=GPUS.sampling,
    params:
        config=CONFIG_FILE,
        launch=LAUNCH.sampling,
        model=lambda _: model_folder(SCALE.rollouts.model),
        settings=settings("seed", "world", "tested", "backend.kind", "rollouts"),
    message:
        "labelling the tokens"
    shell:
        "{params.launch} ares.launch tokens --config {params.config} --rollouts {input.rollouts}"
        " --model {params.model:q} --tokens-out {output.tokens} --top-k-out {output.top_k}"
        " 2>&1 | tee {log}"


rule causal_shard:
    """Resample choices in one shard of the rollouts and measure what they do to the pass rate."""
    input:
        rollouts=f"{RESULTS}/rollouts.parquet",
        world=MATERIAL,
        model=files_of_model(SCALE.rollouts.model),
        sources=script_sources("causal"),
    output:
        f"{RESULTS}/causal/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/causal/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/causal-{{shard}}.tsv"
    conda:
        "../envs/ares.yaml"
    params:
        model=lambda _: model_folder(SCALE.rollouts.model),
        settings=settings("seed", "world", "rollouts", "causal"),
    message:
        "resampling choices, shard {wildcards.shard}"
    script:
        "../scripts/causal.py"
