"""The findings page: what the paper claims, what a run measured, the verdicts, in one HTML file.

`findings` says what stands on it, `page` puts everything together, `notebooks` renders the
notebooks that lie beside it, `record` is the reproducibility record of the reference run.
"""
