"""The curves of a claim: collected from the logs of its trainings, kept small in docs/logs, drawn from there again."""

from __future__ import annotations

import pathlib
from collections import defaultdict

import numpy as np

from commands import compare
from core.files import read_log
from core.lazy import lazy
from core.tables import read_records, write_records

plots = lazy('evaluation.plots.evidence')

COLUMNS = ('variant', 'seed', 'updates', 'seconds', 'recall@1', 'map_at_r')


def collect(claim, plan, results) -> list[dict]:
    """Recall@1 and MAP@R of the classes left out, means over the folds, at every evaluation of the chosen settings.

    Parameters
    ----------
    claim : of recipes/evidence.py
    plan : commands.compare.Plan
    results : list of dicts with 'loss' and 'settings', from compare.json

    Returns
    -------
    list of dicts with COLUMNS; seconds are those of training alone
    """
    rows, chosen = [], {one['loss']: one['settings'] for one in results}
    for label, loss in claim['losses'].items():
        for seed in plan.seeds:
            points = defaultdict(list)
            for fold in compare.folds(plan):
                folder = pathlib.Path(compare.folder_of(plan, loss, chosen[loss], seed, fold))
                for line in read_log(folder / 'log.jsonl'):
                    if 'recall' in line:       # the test set of a fold is the classes that it leaves out
                        points[line['step']].append((line['seconds'], line['recall']['1'], line['map_at_r']))
            for step, values in sorted(points.items()):
                if len(values) == plan.folds:
                    _, recall, precision = np.mean(values, axis=0)
                    seconds = np.median(values, axis=0)[0]      # a training that had to wait does not count
                    rows.append(dict(zip(COLUMNS, (label, seed, step, f'{seconds:.1f}', f'{recall:.4f}',
                                                   f'{precision:.4f}'))))
    return rows


def write(rows, file) -> None:
    """Keep the curves as a CSV file."""
    write_records(file, COLUMNS, rows)


def read(file) -> dict[str, np.ndarray]:
    """{variant: float (seeds, points, 4)}: updates, seconds, Recall@1, MAP@R."""
    found = defaultdict(lambda: defaultdict(list))
    for line in read_records(file):
        found[line['variant']][line['seed']].append([float(line[key]) for key in COLUMNS[2:]])
    return {variant: np.array(list(seeds.values())) for variant, seeds in found.items()}


def draw(file, table, picture, frozen=None) -> None:
    """The picture of a claim.

    Parameters
    ----------
    file : curves, see `write`
    table : lines of docs/evidence.csv of this claim
    picture : file to write, .png
    frozen : MAP@R of the frozen trunk's pooled features on the test classes, or None
    """
    final = {line['variant']: tuple(float(line[key]) for key in ('map_at_r', 'map_at_r_low', 'map_at_r_high'))
             for line in table}
    pathlib.Path(picture).parent.mkdir(parents=True, exist_ok=True)
    plots.claim(read(file), final, picture, frozen)
