"""Recorded vectors of Embedding Expansion."""

FAMILIES = {}
