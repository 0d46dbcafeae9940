"""Networks: a trunk by name, a head by the criterion's wish, and the preprocessing that belongs to the weights."""

from models.embedding import EmbeddingNet, add_args, build, load

__all__ = ['EmbeddingNet', 'add_args', 'build', 'load']
