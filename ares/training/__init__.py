"""AEPO as a trainer: TRL's GRPOTrainer with the method of `ares.method` at its seams."""
