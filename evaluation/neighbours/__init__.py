"""Exact nearest neighbours: ranks, Recall@K and lists, blockwise in bounded memory. `search` is the way in."""
