"""A real model's tests: every model on every benchmark, and one model's responses token by token.

See docs/paper-scale.md.
"""


wildcard_constraints:
    benchmark="|".join(re.escape(name) for name in SCALE.evaluation.benchmarks),


rule benchmark:
    """Test one model on one benchmark."""
    input:
        registries=["config/benchmarks.yaml", *SCALE.benchmarks],
        model=lambda wildcards: files_of_model(wildcards.model),
        sources=module_sources("ares.cli.benchmark"),
    output:
        scores=f"{RESULTS}/scores/{{model}}/{{benchmark}}.parquet",
        responses=f"{RESULTS}/responses/{{model}}/{{benchmark}}.parquet",
    log:
        f"{RESULTS}/logs/benchmark/{{model}}/{{benchmark}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/benchmark-{{model}}-{{benchmark}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: THREADS["sampling"]
    resources:
        gpu=GPUS.sampling,
    params:
        launch=LAUNCH.sampling,
        options=tested_options,
        store=f"{RESULTS}/store/benchmark-{{model}}-{{benchmark}}.sqlite",
    message:
        "testing {wildcards.model} on {wildcards.benchmark}"
    shell:
        "{params.launch} ares benchmark {wildcards.benchmark} {params.options}"
        " --store {params.store} --scores-out {output.scores} --responses-out {output.responses}"
        " 2>&1 | tee {log}"


rule token_records:
    """Sample responses of one model with the log-probabilities of every token."""
    input:
        registries=["config/benchmarks.yaml", *SCALE.benchmarks],
        model=files_of_model(SCALE.analysis.model),
        sources=module_sources("ares.cli.benchmark"),
    output:
        f"{RESULTS}/traces.jsonl",
    log:
        f"{RESULTS}/logs/token_records.txt",
    benchmark:
        f"{RESULTS}/benchmarks/token-records.tsv"
    conda:
        "../envs/ares.yaml"
    threads: THREADS["sampling"]
    resources:
        gpu=GPUS.sampling,
    params:
        launch=LAUNCH.sampling,
        options=analysed_options(),
        store=f"{RESULTS}/store/token-records.sqlite",
    message:
        "sampling responses with log-probabilities"
    shell:
        "{params.launch} ares benchmark {params.options} --store {params.store}"
        " --traces-out {output} 2>&1 | tee {log}"


rule analyze:
    """Find windows of high entropy in the responses, and what they go with."""
    input:
        traces=f"{RESULTS}/traces.jsonl",
        sources=module_sources("ares.cli.analyze"),
    output:
        directory(f"{RESULTS}/analysis"),
    log:
        f"{RESULTS}/logs/analyze.txt",
    benchmark:
        f"{RESULTS}/benchmarks/analyze.tsv"
    conda:
        "../envs/ares.yaml"
    message:
        "analysing the responses"
    shell:
        "ares analyze {input.traces} --out {output} 2>&1 | tee {log}"
