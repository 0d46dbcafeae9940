"""Recorded vectors of the Ranking Regularizer."""

FAMILIES = {}
