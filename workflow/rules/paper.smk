"""A real model on real data: cold start, AEPO, benchmarks, analysis. See docs/paper-scale.md.

What samples or trains is started by the config's `launch` and counts its GPUs as a resource. Answers
of a model are kept in results/<scale>/store/ beside the outputs: a job that was killed asks for the
rest, and one that only grades anew asks for nothing.
"""


wildcard_constraints:
    shard=r"\d+",
    use="cold-start|aepo",
    curation="|".join(CURATIONS),
    arm="|".join(ARMS),
    seed=r"\d+",
    model="|".join(MODELS),
    benchmark="|".join(re.escape(name) for name in EVALUATION["benchmarks"]),
    run_table="steps|timings",


rule paper_problems:
    """Choose the problems of the cold start, or the prompts of AEPO, from the data sets."""
    input:
        registries=REGISTRIES["training"],
        model=base_files(),
        sources=module_sources("ares.workflow.paper_problems"),
    output:
        f"{RESULTS}/problems/{{use}}.parquet",
    log:
        f"{RESULTS}/logs/problems/{{use}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/problems-{{use}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=lambda wildcards: settings(
            *("seed", "model"),
            *(
                ("cold_start.data", "cold_start.max_prompt_tokens")
                if wildcards.use == "cold-start"
                else ("aepo.data", "aepo.pictures", "aepo.max_prompt_tokens")
            ),
        ),
    message:
        "choosing problems for {wildcards.use}"
    shell:
        "ares paper-problems --config {params.config} --use {wildcards.use} --out {output}"
        " 2>&1 | tee {log}"


rule paper_pass_rates:
    """Measure how often the base model solves the problems of one shard."""
    input:
        problems=f"{RESULTS}/problems/cold-start.parquet",
        registries=REGISTRIES["training"],
        model=base_files(),
        sources=module_sources("ares.workflow.paper_pass_rates"),
    output:
        f"{RESULTS}/pass_rates/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/pass_rates/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/pass-rates-{{shard}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 4
    resources:
        gpu=GPUS["sampling"],
    params:
        config=CONFIG_FILE,
        launch=LAUNCH["sampling"],
        store=f"{RESULTS}/store/pass_rates-{{shard}}.sqlite",
        settings=settings(
            *("seed", "model", "backend.kind", "cold_start.samples", "cold_start.shards"),
            *("cold_start.temperature", "cold_start.top_p", "cold_start.max_new_tokens"),
        ),
    message:
        "measuring the base model's pass rates, shard {wildcards.shard}"
    shell:
        "{params.launch} ares paper-pass-rates --config {params.config}"
        " --problems {input.problems} --shard {wildcards.shard} --store {params.store}"
        " --out {output} 2>&1 | tee {log}"


rule paper_traces:
    """Collect verified traces for the problems of one shard: the data sets' own, or teachers'."""
    input:
        problems=f"{RESULTS}/problems/cold-start.parquet",
        registries=REGISTRIES["training"],
        model=base_files(),
        sources=module_sources("ares.workflow.paper_traces"),
    output:
        f"{RESULTS}/pool/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/pool/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/traces-{{shard}}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 4
    params:
        config=CONFIG_FILE,
        store=f"{RESULTS}/store/traces-{{shard}}.sqlite",
        settings=settings(
            *("seed", "model", "cold_start.shards", "cold_start.traces"),
            "cold_start.sft.max_length",
            teachers=COLD_START.teachers.model_dump(exclude={"parallel"}),
        ),
    message:
        "collecting traces, shard {wildcards.shard}"
    shell:
        "ares paper-traces --config {params.config} --problems {input.problems}"
        " --shard {wildcards.shard} --store {params.store} --out {output} 2>&1 | tee {log}"


rule paper_merge:
    """Join the shards of the pass rates, or of the pool of traces."""
    input:
        shards=expand(f"{RESULTS}/{{{{table}}}}/{{shard}}.parquet", shard=SHARDS),
        sources=module_sources("ares.workflow.merge"),
    output:
        f"{RESULTS}/{{table,pass_rates|pool}}.parquet",
    log:
        f"{RESULTS}/logs/{{table}}.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    message:
        "joining the shards of {wildcards.table}"
    shell:
        "ares merge --out {output} {input.shards} 2>&1 | tee {log}"


rule paper_curate:
    """Select the traces of both cold starts: by difficulty (AdaCS) and without regard to length."""
    input:
        pass_rates=f"{RESULTS}/pass_rates.parquet",
        pool=f"{RESULTS}/pool.parquet",
        sources=module_sources("ares.workflow.paper_curate"),
    output:
        f"{RESULTS}/selection.parquet",
    log:
        f"{RESULTS}/logs/curate.txt",
    benchmark:
        f"{RESULTS}/benchmarks/curate.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        settings=settings("seed", "cold_start.size", "cold_start.samples"),
    message:
        "selecting the traces of the cold starts"
    shell:
        "ares paper-curate --config {params.config} --pass-rates {input.pass_rates}"
        " --pool {input.pool} --out {output} 2>&1 | tee {log}"


rule paper_sft:
    """Fine-tune the base model on one selection: a cold start.

    The state of an interrupted run lies beside the output, and the same run goes on from there.
    """
    input:
        selection=f"{RESULTS}/selection.parquet",
        registries=REGISTRIES["training"],
        model=base_files(),
        sources=module_sources("ares.workflow.paper_sft"),
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
    threads: 8
    resources:
        gpu=GPUS["training"],
    params:
        config=CONFIG_FILE,
        launch=LAUNCH["training"],
        state=sft_state,
        settings=sft_settings(),
    message:
        "fine-tuning the base model on {wildcards.curation}"
    shell:
        "{params.launch} ares paper-sft --config {params.config} --selection {input.selection}"
        " --curation {wildcards.curation} --state {params.state} --model-out {output.model}"
        " --losses-out {output.losses} 2>&1 | tee {log}"


rule paper_train:
    """Train one arm with one seed by reinforcement learning; see `paper_sft` on interruptions."""
    input:
        prompts=f"{RESULTS}/problems/aepo.parquet",
        registries=REGISTRIES["training"],
        start=first_files,
        sources=module_sources("ares.workflow.paper_train"),
    output:
        model=directory(f"{RESULTS}/models/{{arm}}-s{{seed}}"),
        steps=f"{RESULTS}/runs/{{arm}}-s{{seed}}/steps.parquet",
        timings=f"{RESULTS}/runs/{{arm}}-s{{seed}}/timings.parquet",
    log:
        f"{RESULTS}/logs/train/{{arm}}-s{{seed}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/train-{{arm}}-s{{seed}}.tsv"
    priority: 10
    conda:
        "../envs/ares.yaml"
    threads: 8
    resources:
        gpu=GPUS["training"],
    params:
        config=CONFIG_FILE,
        launch=LAUNCH["training"],
        start=start_model,
        state=train_state,
        settings=paper_arm_settings,
    message:
        "training {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "{params.launch} ares paper-train --config {params.config} --prompts {input.prompts}"
        " --arm {wildcards.arm} --seed {wildcards.seed} --start {params.start:q}"
        " --state {params.state} --model-out {output.model} --steps-out {output.steps}"
        " --timings-out {output.timings} 2>&1 | tee {log}"


rule paper_run_table:
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


rule paper_benchmark:
    """Test one model on one benchmark."""
    input:
        registries=REGISTRIES["benchmarks"],
        model=tested_files,
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
    threads: 4
    resources:
        gpu=GPUS["sampling"],
    params:
        launch=LAUNCH["sampling"],
        options=tested_options,
        store=f"{RESULTS}/store/benchmark-{{model}}-{{benchmark}}.sqlite",
    message:
        "testing {wildcards.model} on {wildcards.benchmark}"
    shell:
        "{params.launch} ares benchmark {wildcards.benchmark} {params.options}"
        " --store {params.store} --scores-out {output.scores} --responses-out {output.responses}"
        " 2>&1 | tee {log}"


rule paper_scores:
    """Join the scores of all models on all benchmarks."""
    input:
        shards=expand(
            f"{RESULTS}/scores/{{model}}/{{benchmark}}.parquet",
            model=MODELS,
            benchmark=EVALUATION["benchmarks"],
        ),
        sources=module_sources("ares.workflow.merge"),
    output:
        f"{RESULTS}/scores.parquet",
    log:
        f"{RESULTS}/logs/scores.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    message:
        "joining the scores of all models"
    shell:
        "ares merge --out {output} {input.shards} 2>&1 | tee {log}"


rule paper_token_records:
    """Sample responses of one model with the log-probabilities of every token."""
    input:
        registries=REGISTRIES["benchmarks"],
        model=files_of(ANALYSIS["model"]),
        sources=module_sources("ares.cli.benchmark"),
    output:
        f"{RESULTS}/traces.jsonl",
    log:
        f"{RESULTS}/logs/token_records.txt",
    benchmark:
        f"{RESULTS}/benchmarks/token-records.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 4
    resources:
        gpu=GPUS["sampling"],
    params:
        launch=LAUNCH["sampling"],
        options=analysed_options,
        store=f"{RESULTS}/store/token-records.sqlite",
    message:
        "sampling responses with log-probabilities"
    shell:
        "{params.launch} ares benchmark {params.options} --store {params.store}"
        " --traces-out {output} 2>&1 | tee {log}"


rule paper_analyze:
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
    threads: 1
    message:
        "analysing the responses"
    shell:
        "ares analyze {input.traces} --out {output} 2>&1 | tee {log}"


rule paper_notebook:
    """Set the scores beside the paper's Tables 2 and 3."""
    input:
        notebook=f"notebooks/{NOTEBOOK}.ipynb",
        scores=f"{RESULTS}/scores.parquet",
        data=NOTEBOOKS[NOTEBOOK].get("data", []),
        sources=notebook_sources(f"notebooks/{NOTEBOOK}.ipynb"),
    output:
        figures=reported_figures(NOTEBOOK),
        notebook=f"{RESULTS}/notebooks/{NOTEBOOK}.ipynb",
    log:
        notebook=f"{RESULTS}/logs/notebooks/{NOTEBOOK}.ipynb",
        parameters=f"{RESULTS}/logs/notebooks/{NOTEBOOK}.json",
        text=f"{RESULTS}/logs/notebooks/{NOTEBOOK}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/notebook-{NOTEBOOK}.tsv"
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        parameters=paper_notebook_parameters,
    message:
        "running {input.notebook}"
    shell:
        "printf '%s\\n' {params.parameters:q} > {log.parameters};"
        " papermill -f {log.parameters} --kernel python3 --start-timeout 300 --no-progress-bar"
        " {input.notebook} {log.notebook} > {log.text} 2>&1"
        " && cp {log.notebook} {output.notebook}.part && sync {output.notebook}.part"
        " && mv {output.notebook}.part {output.notebook}"


rule paper_manifest:
    """Write down what was made: hashes, commit, config, machine, seconds of every job."""
    input:
        tables=expand(f"{RESULTS}/{{table}}.parquet", table=PAPER_TABLES),
        analysis=f"{RESULTS}/analysis",
        figures=figure_files(NOTEBOOK),
        notebook=f"{RESULTS}/notebooks/{NOTEBOOK}.ipynb",
        sources=module_sources("ares.workflow.manifest"),
    output:
        f"{RESULTS}/manifest.json",
    log:
        f"{RESULTS}/logs/manifest.txt",
    conda:
        "../envs/ares.yaml"
    threads: 1
    params:
        config=CONFIG_FILE,
        benchmarks=f"{RESULTS}/benchmarks",
        timed=lambda wildcards, input: [path for path in input.tables if "timings" in path],
        settings=settings(*SCALE),
    message:
        "writing the manifest"
    shell:
        "ares manifest --config {params.config} --benchmarks {params.benchmarks} --out {output}"
        " --tables {input.tables} --figures {input.figures} --notebooks {input.notebook}"
        " --timed {params.timed} > {log} 2>&1"
