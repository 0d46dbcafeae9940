"""docs/published.csv against the records that it was made from: every figure, with its confidence."""

import json

from evaluation.report import published
from tests.shared import SHARED, needs_shared

KNOWN = [row for row in published.load() if row['value']]
NAMES = {'nmi': ('NMI',), 'f1': ('F1',), 'map': ('mAP',), 'accuracy': ('top1_accuracy', 'micro_accuracy')}


def same(row, record):
    """Whether a record is of the row's data set, method, network and confidence."""
    return (record['dataset'] == row['dataset'] and row['method'].startswith(record['method'].split(',')[0])
            and (record['backbone'] or '') == row['backbone'] and record['confidence'] == row['confidence'])


@needs_shared
def test_every_figure_is_one_that_was_recorded_and_keeps_its_confidence():
    records = json.loads((SHARED / 'published.json').read_text())['records']
    wrong = []
    for row in KNOWN:
        metric = row['metric']
        names = NAMES.get(metric, (metric, metric.replace('recall@', 'R@'), metric.replace('recall@', 'rank-')))
        values = {record['metrics'].get(name) for record in records if same(row, record) for name in names}
        # a curve of the repository's README, read off at two epochs: its records keep them as settings
        if row['table'] != 'README figure (repo)' and float(row['value']) not in values:
            wrong.append((row['table'], row['dataset'], row['method'], metric, row['value']))
    assert not wrong, wrong


def test_every_figure_says_where_it_was_read():
    assert len(KNOWN) > 800 and all(row['source'] and row['confidence'] in ('read', 'recalled') for row in KNOWN)
    assert {row['confidence'] for row in KNOWN if 'bbox' in row['table']} == {'recalled'}
