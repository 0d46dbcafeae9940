"""`python3 main.py evidence [CLAIM ...] --data_root=DIR --weights_root=DIR`: each paper's claim, tested on photographs.

A claim of recipes/evidence.py is one `compare`: equal updates, the same grid for every variant chosen on folds of the
training classes, test classes scored once. Stopped anywhere, the same command goes on. What is finished is written to
docs/evidence.csv; docs/evidence.md and the table of the README are made from it. Results, logs and embeddings of a
finished claim's trainings stay below runs/evidence, their weights go.
"""

from __future__ import annotations

import json
import os
import pathlib
import time

from commands import children
from commands.evidence import baselines, curves, page
from commands.evidence.page import OTHERS
from commands.evidence.tables import VERDICTS, grid_of, hours, read, rows, verdict_of, write
from commands.words import words_of
from core.errors import UserError, pick_name
from core.flags import bounded, path, switch
from recipes import evidence as plan

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS, PICTURES = ROOT / 'docs' / 'logs', ROOT / 'docs' / 'figures'


def add_args(parser) -> None:
    """Flags of evidence."""
    parser.add_argument('claims', nargs='*', metavar='CLAIM',
                        help='names of claims, or baselines; none: all claims, the cheapest first')
    parser.add_argument('--data_root', type=path, default='', metavar='DIR', help='stands for DATA/ in the plan')
    parser.add_argument('--weights_root', type=path, default='', metavar='DIR', help='stands for WEIGHTS/ in the plan')
    parser.add_argument('--save_dir', type=path, default='', metavar='DIR', help='instead of runs/evidence')
    parser.add_argument('--epochs', type=bounded(int, 0), default=0,
                        help="of each map of mnist_maps; 0: the paper's 100")
    parser.add_argument('--hours', type=bounded(float, 0), default=0.0, help='begin no claim after this time; 0: all')
    switch(parser, '--list', help='print the claims, what they cost and their verdicts')
    switch(parser, '--page', help='only make docs/evidence.md and its pictures from docs/evidence.csv and docs/logs')


def placed(data, data_root, weights_root) -> dict:
    """{flag: value} of a data set of the plan, with its folders in the place of DATA/ and WEIGHTS/.

    Raises
    ------
    UserError : DATA/ or WEIGHTS/ is needed and was not given
    """
    settings = dict(plan.DATA[data])
    for key, value in settings.items():
        for name, root in (('data', data_root), ('weights', weights_root)):
            if isinstance(value, str) and value.startswith(name.upper() + '/'):
                if not root:
                    raise UserError(f'{plan.TITLES[data]} lies in no known folder. Fix: --{name}_root=DIR, '
                                    f'which holds {value.partition("/")[2]}')
                settings[key] = os.path.join(root, value.partition('/')[2])
    return settings


def shared(claim) -> str:
    """Name of the folder of a claim's trainings, which other claims on the same data share where they need the same.

    >>> shared({'data': 'birds', 'updates': 500, 'flags': {'epochs': 16}})
    'birds-500-epochs=16'
    """
    return '-'.join([claim['data'], str(claim['updates']),
                     *(f'{flag}={value}' for flag, value in claim.get('flags', {}).items())])


def words(claim, data_root, weights_root, folder) -> list[str]:
    """The `compare` command of a claim. Raises UserError as `placed`."""
    settings = dict(placed(claim['data'], data_root, weights_root), **claim.get('flags', {}))
    settings['store_dir'] = os.path.join(os.path.dirname(folder), 'stores')       # the data may be read-only
    choices = [f'--grid={flag}={",".join(values)}' for flag, values in grid_of(claim).items()]
    return ['compare', '--losses=' + ','.join(claim['losses'].values()), f'--updates={claim["updates"]}',
            f'--runs={claim["runs"]}', f'--folds={claim.get("folds", plan.FOLDS)}',
            f'--points={plan.POINTS[claim["data"]]}', *choices, *words_of(settings), f'--save_dir={folder}']


def draw(claim, lines) -> None:
    """The picture of a claim from its lines of docs/evidence.csv and its curves in docs/logs."""
    curves.draw(LOGS / f'{claim["name"]}.csv', lines, PICTURES / f'evidence_{claim["name"]}.png',
                baselines.frozen(claim['data']))


def drop_scored(folder) -> None:
    """Remove the weights of a claim's trainings that have scored the test classes: a plan's would fill a disk."""
    from engine import checkpoint
    for scored in pathlib.Path(folder).glob('*/*/*/test.npz'):
        checkpoint.drop(scored.parent)


def run(args) -> int:
    """The command; returns the exit status."""
    names = {claim['name']: claim for claim in plan.CLAIMS}
    wanted = [pick_name('CLAIM', name, {**names, **OTHERS, 'baselines': baselines}) for name in args.claims]
    if 'baselines' in wanted:
        for data in plan.DATA:
            found = baselines.measure(words_of(placed(data, args.data_root, args.weights_root)))
            baselines.write(data, found)
        page.write_pages()
        wanted.remove('baselines')
        if not wanted:
            return 0
    chosen = [names[name] for name in wanted if name in names] if wanted else sorted(plan.CLAIMS, key=hours)
    others = [module for name, module in OTHERS.items() if name in wanted or not wanted]
    if args.page:
        for module in OTHERS.values():
            module.draw()
        for claim in plan.CLAIMS:
            mine = [line for line in read() if line['claim'] == claim['name']]
            if mine:
                draw(claim, mine)
        page.write_pages()
        return 0
    if args.list:
        for claim in chosen:
            verdict = VERDICTS[verdict_of(claim, read())]
            print(f'{claim["name"]:<26} {hours(claim):5.1f} h  {verdict:<24}  {claim["says"]}')
        for module in others:
            print(f'{module.NAME:<26} {module.hours():5.1f} h  {module.verdict():<24}  {module.SAYS}')
        return 0
    from commands.compare import Plan
    from engine.run import commit
    began, base = time.monotonic(), args.save_dir or str(ROOT / 'runs' / 'evidence')

    def over(name):
        late = args.hours and time.monotonic() - began > 3600 * args.hours
        if late:
            print(f'--hours={args.hours:g} are over: the same command goes on with {name}')
        return late

    for claim in chosen:
        if over(claim['name']):
            return 0
        folder = os.path.join(base, shared(claim))
        status = children.call(words(claim, args.data_root, args.weights_root, folder))
        if status:
            return status
        result = json.loads(pathlib.Path(folder, 'compare.json').read_text(encoding='utf-8'))
        lines = rows(claim, result, commit())
        write(lines)
        curves.write(curves.collect(claim, Plan(**result['plan']), result['results']), LOGS / f'{claim["name"]}.csv')
        draw(claim, lines)
        page.write_pages()
        drop_scored(folder)
        print(f'{claim["name"]}: {VERDICTS[verdict_of(claim, lines)]} -> {page.PAGE}')
    for module in others:
        if over(module.NAME):
            return 0
        status = module.run(args, base, page.write_pages)
        if status:
            return status
    return 0
