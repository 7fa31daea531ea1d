"""From rollouts to tidy tables and numbers: token labels, causal effects, detection, intervals."""
