"""The adaptive cold start (AdaCS): pass rates, a pool of teacher traces, curation, fine-tuning."""
