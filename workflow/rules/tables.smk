"""From the model to tidy tables: problems, rollouts, tokens, causal labels.

A table that takes long is made in shards. Their number is part of the config, not of the machine,
so the tables are the same on one core and on many.
"""


wildcard_constraints:
    shard=r"\d+",


rule problems:
    """Draw the test problems from the held-out split of the world."""
    input:
        world=SCALE["world"],
        sources=module_sources("ares.workflow.problems"),
    output:
        f"{RESULTS}/problems.parquet",
    log:
        f"{RESULTS}/logs/problems.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "world", "problems"),
    message:
        "drawing the test problems"
    shell:
        "ares problems --config {params.config} --out {output} 2>&1 | tee {log}"


rule rollout_shard:
    """Sample responses to one shard of the problems, with the entropy of every token."""
    input:
        problems=f"{RESULTS}/problems.parquet",
        world=SCALE["world"],
        model=model_files,
        sources=module_sources("ares.workflow.rollouts"),
    output:
        f"{RESULTS}/rollouts/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/rollouts/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/rollouts-{{shard}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "world", "model", "rollouts"),
    message:
        "sampling responses, shard {wildcards.shard}"
    shell:
        "ares rollouts --config {params.config} --problems {input.problems}"
        " --shard {wildcards.shard} --out {output} 2>&1 | tee {log}"


rule rollouts:
    """Join the shards of the rollouts."""
    input:
        shards=expand(f"{RESULTS}/rollouts/{{shard}}.parquet", shard=shards("rollouts")),
        sources=module_sources("ares.workflow.merge"),
    output:
        f"{RESULTS}/rollouts.parquet",
    log:
        f"{RESULTS}/logs/rollouts.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    message:
        "joining the shards of the rollouts"
    shell:
        "ares merge --out {output} {input.shards} 2>&1 | tee {log}"


rule tokens:
    """Label every token (lexicon, decision, slot) and keep top log-probabilities of some rollouts."""
    input:
        rollouts=f"{RESULTS}/rollouts.parquet",
        world=SCALE["world"],
        model=model_files,
        sources=module_sources("ares.workflow.tokens"),
    output:
        tokens=f"{RESULTS}/tokens.parquet",
        top_k=f"{RESULTS}/top_k.parquet",
    log:
        f"{RESULTS}/logs/tokens.txt",
    benchmark:
        f"{RESULTS}/benchmarks/tokens.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "world", "model", "rollouts"),
    message:
        "labelling the tokens"
    shell:
        "ares tokens --config {params.config} --rollouts {input.rollouts}"
        " --out {output.tokens} --top-out {output.top_k} 2>&1 | tee {log}"


rule causal_shard:
    """Resample choices in one shard of the rollouts and measure what they do to the pass rate."""
    input:
        rollouts=f"{RESULTS}/rollouts.parquet",
        world=SCALE["world"],
        model=model_files,
        sources=module_sources("ares.workflow.causal"),
    output:
        f"{RESULTS}/causal/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/causal/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/causal-{{shard}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "world", "model", "rollouts", "causal"),
    message:
        "resampling choices, shard {wildcards.shard}"
    shell:
        "ares causal --config {params.config} --rollouts {input.rollouts}"
        " --shard {wildcards.shard} --out {output} 2>&1 | tee {log}"


rule causal:
    """Join the shards of the causal labels."""
    input:
        shards=expand(f"{RESULTS}/causal/{{shard}}.parquet", shard=shards("causal")),
        sources=module_sources("ares.workflow.merge"),
    output:
        f"{RESULTS}/causal.parquet",
    log:
        f"{RESULTS}/logs/causal.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    message:
        "joining the shards of the causal labels"
    shell:
        "ares merge --out {output} {input.shards} 2>&1 | tee {log}"
