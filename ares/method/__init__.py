"""The method as pure functions on tensors, shared by training, analysis and notebooks.

One concept per module, in the order in which a training step meets them: `entropy`, `windows`,
`thresholds`, `lexicon`, `difficulty`, `reward`, `advantages`, `surrogate`, `kl`; `presets` holds
the named settings. Nothing here reads a file (the lexicon's own list aside), draws a random number
or knows of a model. Axes: B rollouts, T response tokens, V vocabulary, K listed alternatives.
"""
