"""Recipes: one file a paper, nothing but data: its effective settings, flag by flag, and the rows that it published.

A paper's module holds

DEFAULTS : {loss: {flag: value}}: what `--loss=NAME` alone trains with on a benchmark
CONSTANTS : {loss: {optimizer: {constant: value}}}: where the original's optimizer is not MXNet's; may be missing
ROWS : list of dicts, one a row of the paper's tables:
    name : what scripts call it, such as ee_hphn; unique on its data set
    data : the data set's name
    flags : {flag: value} on top of DEFAULTS of its loss
    published : [(table, method)]: lines of docs/published.csv with its figures, empty where none is known to us
    note : one sentence, may be missing
    evaluate : {flag: value}, where it is scored on another data set than it trains on; may be missing

The figures themselves stand once, in docs/published.csv, each with its source and confidence.
"""

from collections import namedtuple

from recipes import deep_embedding, embedding_expansion, heated_up_softmax, local_sampling, ranking_regularizer

PAPERS = {
    'embedding_expansion': embedding_expansion,
    'heated_up_softmax': heated_up_softmax,
    'deep_embedding': deep_embedding,
    'ranking_regularizer': ranking_regularizer,
    'local_sampling': local_sampling,
}
# A script of a data set runs the rows of all its protocols: name of the script -> names of the data sets.
DATA_SETS = {
    'cub200': ('cub200',), 'cars196': ('cars196', 'stanford_cars'), 'sop': ('sop',), 'inshop': ('inshop',),
    'street2shop': ('street2shop',), 'lfw': ('lfw', 'lfw_view1'), 'mnist': ('mnist',), 'aircraft': ('aircraft',),
    'nabirds': ('nabirds',), 'flowers102': ('flowers102',), 'dogs': ('dogs',),
}

Row = namedtuple('Row', 'paper name data flags published note evaluate')
Row.__doc__ = """A row of a paper's table: see the module. `flags` hold loss and data_name too."""


def defaults(loss):
    """{flag: value} of the paper that a loss belongs to; {} for a loss that belongs to none."""
    return _of_loss('DEFAULTS', loss)


def constants(loss):
    """{optimizer: {constant: value}} where the paper's optimizer is not MXNet's, such as Adam's epsilon."""
    return _of_loss('CONSTANTS', loss)


def rows(name=None):
    """List of Row: of a paper, of a data set's script, or all. The first one is what a script without a name starts
    with. KeyError for an unknown name."""
    if name is None or name in PAPERS:
        return [row for paper in ([name] if name else PAPERS) for row in _of_paper(paper)]
    return [row for row in rows() if row.data in DATA_SETS[name]]


def _of_loss(table, loss):
    return next((dict(getattr(paper, table)[loss]) for paper in PAPERS.values() if loss in getattr(paper, table, {})),
                {})


def _of_paper(paper):
    for row in PAPERS[paper].ROWS:
        yield Row(paper, row['name'], row['data'], {'data_name': row['data'], **row['flags']},
                  tuple(row.get('published', ())), row.get('note', ''), dict(row.get('evaluate', {})))
