"""Entropy of any trace: read a file of responses, measure it, draw it, make a page to read it."""
