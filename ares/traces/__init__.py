"""Entropy of any trace: read a file of responses, measure it, draw it, make a page to read it."""

from typing import Literal

#: Whose definition of the threshold of high-window-entropy tokens.
Threshold = Literal["batch", "main-text", "app-h", "released"]
#: Of a response: all of it, its thought, or what comes behind.
Part = Literal["all", "think", "answer"]
