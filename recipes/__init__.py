"""Recipes: one file a paper, nothing but data: its effective settings, flag by flag, and the rows that it published.

A paper's module holds

DEFAULTS : {loss: {flag: value}}: what `--loss=NAME` alone trains with on a benchmark
CONSTANTS : {loss: {optimizer: {constant: value}}}: where the original's optimizer is not MXNet's; may be missing
"""

from recipes import deep_embedding, embedding_expansion, heated_up_softmax, local_sampling, ranking_regularizer

PAPERS = {
    'embedding_expansion': embedding_expansion,
    'heated_up_softmax': heated_up_softmax,
    'deep_embedding': deep_embedding,
    'ranking_regularizer': ranking_regularizer,
    'local_sampling': local_sampling,
}


def defaults(loss):
    """{flag: value} of the paper that a loss belongs to; {} for a loss that belongs to none."""
    return _of_loss('DEFAULTS', loss)


def constants(loss):
    """{optimizer: {constant: value}} where the paper's optimizer is not MXNet's, such as Adam's epsilon."""
    return _of_loss('CONSTANTS', loss)


def _of_loss(table, loss):
    return next((dict(getattr(paper, table)[loss]) for paper in PAPERS.values() if loss in getattr(paper, table, {})),
                {})
