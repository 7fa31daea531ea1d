"""Training of the base model from nothing: text first, then its eyes, then both together."""
