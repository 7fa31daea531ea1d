"""From tables to figures: every notebook run by papermill, and the manifest.

A notebook runs into the log folder, so that the executed copy is still there when a cell fails.
"""

for NOTEBOOK in NOTEBOOKS:

    rule:
        name:
            f"notebook_{NOTEBOOK}"
        input:
            notebook=f"notebooks/{NOTEBOOK}.ipynb",
            tables=notebook_tables(NOTEBOOK),
            data=[
                ancient(file) if file.endswith(".yaml") else file
                for file in NOTEBOOKS[NOTEBOOK].get("data", [])
            ],
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
        params:
            parameters=notebook_parameters(NOTEBOOK),
            settings=notebook_settings(NOTEBOOK),
        message:
            "running {input.notebook}"
        shell:
            "printf '%s\\n' {params.parameters:q} > {log.parameters};"
            " papermill -f {log.parameters} --kernel python3 --start-timeout 300 --no-progress-bar"
            " {input.notebook} {log.notebook} > {log.text} 2>&1"
            " && cp {log.notebook} {output.notebook}.part && sync {output.notebook}.part"
            " && mv {output.notebook}.part {output.notebook}"


rule manifest:
    """Write down what was made: hashes, commit, config, machine, seconds of every job."""
    input:
        tables=[f"{RESULTS}/{table}.parquet" for table in TABLES],
        made=FINDINGS,
        figures=[file for notebook in NOTEBOOKS for file in figure_files(notebook)],
        notebooks=[f"{RESULTS}/notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS],
        sources=script_sources("manifest"),
    output:
        f"{RESULTS}/manifest.json",
    log:
        f"{RESULTS}/logs/manifest.txt",
    conda:
        "../envs/ares.yaml"
    params:
        benchmarks=f"{RESULTS}/benchmarks",
        timed=[
            *(f"{RESULTS}/{table}.parquet" for table, form in TABLES.items() if form.timed),
            *(file for notebook in NOTEBOOKS for file in figure_files(notebook, "timed")),
        ],
        settings=settings(*Scale.model_fields),
    message:
        "writing the manifest"
    script:
        "../scripts/manifest.py"
