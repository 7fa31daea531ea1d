"""The notebooks' figures: each function draws one from the tidy table that is saved beside it."""
