"""The small world's tests: responses of the base model token by token, all models, the findings.

A table that takes long is made in shards. Their number is part of the config, not of the machine,
so the tables are the same on one core and on many.
"""


rule problems:
    """Draw the test problems from the held-out split of the world."""
    input:
        world=SCALE.world,
        sources=script_sources("problems"),
    output:
        f"{RESULTS}/problems.parquet",
    log:
        f"{RESULTS}/logs/problems.txt",
    conda:
        "../envs/ares.yaml"
    params:
        settings=settings("seed", "world", "problems"),
    message:
        "drawing the test problems"
    script:
        "../scripts/problems.py"


rule rollout_shard:
    """Sample responses to one shard of the problems, with the entropy of every token."""
    input:
        problems=f"{RESULTS}/problems.parquet",
        world=SCALE.world,
        model=files_of_model("base"),
        sources=script_sources("rollouts"),
    output:
        f"{RESULTS}/rollouts/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/rollouts/{{shard}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/rollouts-{{shard}}.tsv"
    conda:
        "../envs/ares.yaml"
    params:
        settings=settings("seed", "world", "model", "rollouts"),
    message:
        "sampling responses, shard {wildcards.shard}"
    script:
        "../scripts/rollouts.py"


rule tokens:
    """Label every token (lexicon, decision, slot) and keep top log-probabilities of some rollouts."""
    input:
        rollouts=f"{RESULTS}/rollouts.parquet",
        world=SCALE.world,
        model=files_of_model("base"),
        sources=script_sources("tokens"),
    output:
        tokens=f"{RESULTS}/tokens.parquet",
        top_k=f"{RESULTS}/top_k.parquet",
    log:
        f"{RESULTS}/logs/tokens.txt",
    benchmark:
        f"{RESULTS}/benchmarks/tokens.tsv"
    conda:
        "../envs/ares.yaml"
    params:
        settings=settings("seed", "world", "model", "rollouts"),
    message:
        "labelling the tokens"
    script:
        "../scripts/tokens.py"


rule causal_shard:
    """Resample choices in one shard of the rollouts and measure what they do to the pass rate."""
    input:
        rollouts=f"{RESULTS}/rollouts.parquet",
        world=SCALE.world,
        model=files_of_model("base"),
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
        settings=settings("seed", "world", "model", "rollouts", "causal"),
    message:
        "resampling choices, shard {wildcards.shard}"
    script:
        "../scripts/causal.py"


rule evaluate:
    """Test one model; the base model's entropy threshold counts the HWE tokens of all."""
    input:
        model=lambda wildcards: files_of_model(wildcards.model),
        world=SCALE.world,
        threshold=lambda wildcards: (
            [] if wildcards.model == "base" else [f"{RESULTS}/evaluations/base.parquet"]
        ),
        sources=script_sources("evaluate"),
    output:
        f"{RESULTS}/evaluations/{{model}}.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{model}}.txt",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate-{{model}}.tsv"
    conda:
        "../envs/ares.yaml"
    params:
        model=lambda wildcards: model_folder(wildcards.model),
        arm=lambda wildcards: MODELS[wildcards.model][0],
        seed=lambda wildcards: MODELS[wildcards.model][1],
        settings=settings(
            *("seed", "world", "problems.levels", "problems.presentations"),
            *("rollouts.temperature", "rollouts.top_p", "evaluation"),
        ),
    message:
        "testing {wildcards.model}"
    script:
        "../scripts/evaluate.py"


rule findings:
    """Judge the paper's findings by the rule book."""
    input:
        tables=[f"{RESULTS}/{table}.parquet" for table, form in TABLES.items() if form.judged],
        rules="config/findings.yaml",
        paper=sorted(str(path) for path in Path("data/paper").glob("*.csv")),
        sources=script_sources("findings"),
    output:
        findings=f"{RESULTS}/findings.csv",
        seeds=f"{RESULTS}/findings_by_seed.csv",
    log:
        f"{RESULTS}/logs/findings.txt",
    benchmark:
        f"{RESULTS}/benchmarks/findings.tsv"
    conda:
        "../envs/ares.yaml"
    params:
        tables=subpath(output[0], parent=True),
        settings=settings("scale", "seed", "windows", "bootstrap"),
    message:
        "judging the findings"
    script:
        "../scripts/findings.py"


rule findings_page:
    """Write the findings page: every claim, our numbers, the verdicts and the figures, in one file."""
    input:
        findings=f"{RESULTS}/findings.csv",
        manifest=f"{RESULTS}/manifest.json",
        figures=[file for notebook in NOTEBOOKS for file in figure_files(notebook)],
        notebooks=[f"{RESULTS}/notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS],
        captions=sorted(str(path) for path in Path("workflow/report").glob("*.rst")),
        listed="workflow/notebooks.yaml",
        rules="config/findings.yaml",
        paper=sorted(str(path) for path in Path("data/paper").glob("*.csv")),
        sources=script_sources("findings_page"),
    output:
        directory(f"{RESULTS}/report"),
    log:
        f"{RESULTS}/logs/report.txt",
    conda:
        "../envs/ares.yaml"
    params:
        given=config["scale"],
    message:
        "writing the findings page"
    script:
        "../scripts/findings_page.py"
