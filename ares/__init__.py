"""ARES compendium: adaptive reasoning by difficulty-aware token-level entropy shaping."""

__version__ = "0.1.0"
