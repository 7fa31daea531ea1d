"""Property tests of the method: no deadline (machines differ), the same examples on every run."""

from hypothesis import settings

settings.register_profile("method", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("method")
