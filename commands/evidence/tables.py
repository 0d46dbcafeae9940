"""docs/evidence.csv: what a comparison found, a line for each variant of a claim, and the verdict that follows."""

from __future__ import annotations

import math
import pathlib

from core.tables import read_records, write_records
from recipes import evidence as plan

TABLE = pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'evidence.csv'
COLUMNS = ('claim', 'variant', 'updates', 'runs', 'settings', 'folds_map_at_r', 'recall@1', 'recall@1_low',
           'recall@1_high', 'map_at_r', 'map_at_r_low', 'map_at_r_high', 'less_reference', 'less_low', 'less_high',
           'commit', 'command', 'pooled_recall@1', 'pooled_map_at_r')
START = 3          # seconds that a training takes beside its updates, evaluations included
VERDICTS = {'holds': 'holds', 'does not hold': 'does not hold: the opposite was found',
            'undecided': 'undecided at this scale', '': 'not yet measured'}


def grid_of(claim) -> dict:
    """{flag: values} that a claim's settings are chosen from."""
    return claim.get('grid', plan.GRID)


def hours(claim) -> float:
    """What a claim costs on one core, about."""
    settings = math.prod(len(values) for values in grid_of(claim).values())
    trainings = len(claim['losses']) * claim.get('folds', plan.FOLDS) * (settings + claim['runs'] - 1)
    batch = plan.DATA[claim['data']]['batch_size']
    return trainings * (START + claim['updates'] * batch / plan.SPEEDS[claim['data']]) / 3600


def rows(claim, result, commit) -> list[dict]:
    """Lines of docs/evidence.csv from compare.json of a claim."""
    from evaluation.intervals import mean_interval, paired_difference
    found = {one['loss']: one for one in result['results']}
    reference = found[claim['losses'][claim['better'][1]]]['separated']['map_at_r']
    lines = []
    for label, loss in claim['losses'].items():
        one = found[loss]
        recall, precision = (mean_interval(one['separated'][key]) for key in ('R@1', 'map_at_r'))
        less = paired_difference(one['separated']['map_at_r'], reference)
        numbers = (one['folds_map_at_r'], *recall[:3], *precision[:3], *less[:3])
        pooled = one.get('pooled', {})
        lines.append(dict(zip(COLUMNS, (
            claim['name'], label, claim['updates'], claim['runs'], ' '.join(one['settings']),
            *(f'{number:.4f}' for number in numbers), commit,
            'python3 main.py evidence ' + claim['name'] + ' --data_root=DATA --weights_root=WEIGHTS',
            *(f'{mean_interval(pooled[key]).mean:.4f}' if pooled else '' for key in ('R@1', 'map_at_r'))))))
    return lines


def read(table=TABLE) -> list[dict]:
    """Lines of docs/evidence.csv."""
    return read_records(table)


def write(lines, table=TABLE) -> None:
    """Put the lines of one claim in the place of its older ones."""
    claim = lines[0]['claim']
    order = [one['name'] for one in plan.CLAIMS]
    kept = [line for line in read(table) if line['claim'] != claim] + lines
    kept.sort(key=lambda line: order.index(line['claim']) if line['claim'] in order else len(order))

    write_records(table, COLUMNS, kept)


def verdict_of(claim, lines) -> str:
    """'holds', 'does not hold', 'undecided', or '' before it was measured."""
    line = next((one for one in lines if one['claim'] == claim['name'] and one['variant'] == claim['better'][0]), None)
    if line is None:
        return ''
    if float(line['less_low']) > 0:
        return 'holds'
    return 'does not hold' if float(line['less_high']) < 0 else 'undecided'
