"""The paper's stages on real models and real data: problems, pass rates, traces, training."""
