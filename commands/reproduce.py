"""`python3 main.py reproduce ROW --data_root=DIR --weights_root=DIR`: a row of docs/results.csv again, old | new.

ROW may be a claim of docs/evidence.csv: its comparison is made anew.
"""

from __future__ import annotations

import csv
import os
import pathlib
import shlex
import statistics

from commands import children
from commands.evidence import again
from core.errors import UserError, pick_name
from core.files import read_json
from core.flags import ints, path

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'docs' / 'results.csv'
RULE = 'last epoch'


def add_args(parser) -> None:
    """Flags of reproduce."""
    parser.add_argument('row', metavar='ROW', nargs='?', default='',
                        help='method of a row of docs/results.csv, or claim of docs/evidence.csv; none: list them')
    parser.add_argument('--data_root', type=path, default='', metavar='DIR', help='stands for DATA/ in its command')
    parser.add_argument('--weights_root', type=path, default='', metavar='DIR',
                        help='stands for WEIGHTS/ in its command')
    parser.add_argument('--seeds', type=ints, default=[], help="seeds, comma separated; none: the row's own")
    parser.add_argument('--save_dir', type=path, default='', metavar='DIR', help='instead of runs/reproduce')


def rows(file=RESULTS) -> dict[str, dict]:
    """{method: row} of the last epochs in a results file; two data sets of one method are told apart by their name."""
    with open(file, newline='', encoding='utf-8') as stream:
        found = [row for row in csv.DictReader(stream) if row['epoch_rule'] == RULE]
    methods = [row['method'] for row in found]
    return {row['method'] if methods.count(row['method']) == 1 else f'{row["method"]} on {row["data"]}': row
            for row in found}


def words(row, data_root, weights_root) -> list[str]:
    """The words of a row's command after main.py, with the roots in their place.

    Raises
    ------
    UserError : the command needs a root that was not given
    """
    found = []
    for word in shlex.split(row['command'])[2:]:
        flag, _, value = word.partition('=')
        for name, root in (('data', data_root), ('weights', weights_root)):
            if value.startswith(name.upper() + '/'):
                if not root:
                    raise UserError(f'{word}: no folder {name.upper()}/ is known. Fix: --{name}_root=DIR, which holds '
                                    f'{value.partition("/")[2]}')
                word = f'{flag}={os.path.join(root, value.partition("/")[2])}'
        found.append(word)
    return found


def comparison(row, results) -> str:
    """Markdown of the row's figures beside those of new runs (their `selection` of the last epoch)."""
    def figures(name):
        if name.startswith('recall@'):
            return [one['recall'].get(name.partition('@')[2]) for one in results]
        return [one.get(name) for one in results]
    lines = ['| metric | old | new | difference |', '|---|---|---|---|']
    for key in row:
        name = key[:-len('_mean')]
        if not key.endswith('_mean') or not row[key] or None in figures(name):
            continue
        new, old = 100 * statistics.mean(figures(name)), 100 * float(row[key])
        spread = f' ± {100 * float(row[name + "_std"]):.1f}' if row.get(name + '_std') else ''
        ours = f' ± {100 * statistics.stdev(figures(name)):.1f}' if len(results) > 1 else ''
        lines.append(f'| {name} | {old:.1f}{spread} | {new:.1f}{ours} | {new - old:+.1f} |')
    return '\n'.join(lines)


def run(args) -> int:
    """The command; returns the exit status."""
    known, claims = rows(), again.measured()
    if not args.row:
        print('\n'.join(f'{name}  ({row["data"]}, seeds {row["seeds"]}, commit {row["commit"]})'
                        for name, row in known.items()))
        print('claims: ' + ', '.join(claims))
        return 0
    name = pick_name('ROW', args.row, {**known, **claims})
    if name in claims:
        return again.run(claims[name], args.data_root, args.weights_root, args.seeds,
                         args.save_dir or str(ROOT / 'runs' / 'reproduce'))
    row, results = known[name], []
    command = words(row, args.data_root, args.weights_root)
    slug = ''.join(c if c.isalnum() else '_' for c in name)
    folder = pathlib.Path(args.save_dir or ROOT / 'runs' / 'reproduce', slug)
    seeds = args.seeds or [int(seed) for seed in row['seeds'].split()]
    for seed in seeds:
        place = folder / f'seed{seed}'
        if not (place / 'result.json').exists():
            status = children.call(children.onward([*command, f'--seed={seed}', f'--save_dir={place}'], place))
            if status:
                return status
        try:
            results.append(read_json(place / 'result.json')['selection']['last'])
        except (KeyError, TypeError) as error:
            raise UserError(f'{place / "result.json"} is damaged: it lacks {error}. Fix: remove {place}') from error
    print(f'\n{name} ({row["data"]}), {RULE}; old: seeds {row["seeds"]}, commit {row["commit"]}; new: seeds '
          f'{" ".join(map(str, seeds))}\n\n{comparison(row, results)}\n-> {folder}')
    return 0
