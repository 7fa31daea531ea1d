"""What a run at the paper's scale takes: memory and time, from shapes and named assumptions."""
