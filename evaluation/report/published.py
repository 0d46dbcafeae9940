"""docs/published.csv: figures of the papers, which of our runs each is compared with, and the recipe behind it.

Columns: paper, table, dataset, method, backbone, dim, image_size, metric, value, source, confidence, run, recipe, note.

value : in percent, as printed (batch_time_s: seconds)
confidence : read (seen in the source that is named), recalled (not seen: never a gate), missing (searched, not found)
run : the runs it is compared with, as conditions on flags that must all hold: `n_inner_pts>0 loss=a|b heat_up!=true`
recipe : the paper's settings in the same form; where a run departs from them the report says so
"""

from __future__ import annotations

import csv
import pathlib
import re

from core.errors import UserError
from core.text import printable

FILE = pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'published.csv'
COLUMNS = ('paper', 'table', 'dataset', 'method', 'backbone', 'dim', 'image_size', 'metric', 'value', 'source',
           'confidence', 'run', 'recipe', 'note')
# Names of a metric in the papers' tables -> in result.json. scikit-learn's NMI was geometric when most were written.
METRICS = {'nmi': 'nmi_arithmetic', 'verification_accuracy': 'accuracy'}


def load(path=FILE) -> list[dict]:
    """List of dicts. UserError when the columns are others."""
    try:
        with open(path, newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f'--published={path} cannot be read ({error.strerror}). '
                        'Fix: a CSV file such as docs/published.csv') from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UserError(f'--published={path} lacks columns. Fix: {",".join(COLUMNS)}')
    return rows


def plain(value) -> str:
    """One spelling for equal values: True -> 'true', 1e-4 -> '0.0001', [1, 2] -> '1,2', 'A-b' -> 'a_b'."""
    if isinstance(value, (list, tuple)):
        return ','.join(plain(v) for v in value)
    text = str(value).strip().lower()
    try:
        return f'{float(text):g}'
    except ValueError:
        return text.replace('-', '_')


def shown(value) -> str:
    """A setting as people read it: like `plain`, but text stays as it is.

    Example
    -------
    >>> shown(1e-4), shown([1, 2]), shown('runs/My-photos'), shown(True)
    ('0.0001', '1,2', 'runs/My-photos', 'true')
    """
    if isinstance(value, str) and not re.fullmatch(r'[\d.eE+-]+', value):
        return printable(value)
    if isinstance(value, (list, tuple)):
        return ','.join(map(shown, value))
    return plain(value)


def conditions(text: str) -> list[tuple]:
    """'loss=a|b n>0' -> [('loss', '=', 'a|b'), ('n', '>', '0')]."""
    found = []
    for word in text.split():
        match = re.fullmatch(r'(\w+)(=|!=|>)(\S+)', word)
        if not match:
            raise UserError(f'docs/published.csv: {word!r} is not a condition such as loss=margin, n_inner_pts>0 or '
                            'pretrained!=false')
        found.append(match.groups())
    return found


def holds(args: dict, condition: tuple) -> bool:
    """Whether a run's args meet one condition; a flag that the run does not have meets none."""
    key, sign, wanted = condition
    if args.get(key) is None:
        return False
    value = plain(args[key])
    if sign == '>':
        try:
            return float(value) > float(wanted)
        except ValueError:
            return False
    return (value in [plain(word) for word in wanted.split('|')]) == (sign == '=')


def matches(rows: list, args: dict) -> list[dict]:
    """Rows whose `run` conditions all hold for args."""
    return [row for row in rows if row['run'] and all(holds(args, one) for one in conditions(row['run']))]


def method_name(rows: list, args: dict) -> str:
    """What the papers call this method, whatever the data set: the row with the fewest conditions that hold.

    Without one, the name of the loss, and its mode if it has several.
    """
    best = None
    for row in rows:
        parts = [one for one in conditions(row['run']) if one[0] != 'data_name']
        if parts and all(holds(args, one) for one in parts) and (best is None or len(parts) < best[0]):
            best = (len(parts), row['method'])
    return best[1] if best else ' '.join(str(args[key]) for key in ('loss', 'train_mode') if key in args) or 'unknown'


def differences(args: dict, recipe: str) -> list[str]:
    """['lr: 0.001 (paper 0.0001)', ...] for each setting of the recipe that the run does not have."""
    found = []
    for key, sign, wanted in conditions(recipe):
        if not holds(args, (key, sign, wanted)):
            ours = shown(args[key]) if args.get(key) is not None else 'no such flag'
            paper = wanted.split('|')[0] if sign == '=' else sign + wanted
            found.append(f'{key}: {ours} (paper {paper})')
    return found


def sources(rows: list, args: dict) -> list[dict]:
    """The published lines of one run: one entry for each (paper, table, method, source) that it is compared with.

    Each is a dict: paper, table, method, backbone, dim, image_size, source, confidence, note, values {metric: percent},
    differences (list of str).
    """
    found = {}
    for row in matches(rows, args):
        key = (row['paper'], row['table'], row['method'], row['note'], row['confidence'])
        entry = found.setdefault(key, dict(row, values={}, differences=differences(args, row['recipe'])))
        if row['value']:
            entry['values'][METRICS.get(row['metric'], row['metric'])] = float(row['value'])
    return list(found.values())
