"""The small world: Countdown problems, their pictures, their teachers and their verifier."""
