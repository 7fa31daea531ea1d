"""The findings page: what the paper claims, what a run measured, the verdicts, in one HTML file.

`findings` and `run_facts` say what stands on it, `words` how, `figures` embeds the pictures,
`notebooks` renders the notebooks that lie beside it, `page` puts everything together.
"""
