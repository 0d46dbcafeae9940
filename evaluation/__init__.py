"""Evaluation: exact neighbours, retrieval metrics, clustering, classification, verification."""


def add_args(group):
    """Declare the evaluation flags on an argparse group."""
    from evaluation import protocols
    protocols.add_args(group)
