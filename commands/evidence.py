"""`python3 main.py evidence [CLAIM ...] --data_root=DIR --weights_root=DIR`: each paper's claim, tested on photographs.

A claim of recipes/evidence.py is one `compare`: equal updates, the same grid for every variant chosen on folds of the
training classes, test classes scored once. Stopped anywhere, the same command goes on. What is finished is written to
docs/evidence.csv, and docs/evidence.md is made from it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pathlib
import time

from commands import children, evidence_baselines, evidence_curves, evidence_maps
from commands.words import words_of
from core.errors import UserError, pick_name
from core.files import write_atomic
from core.flags import bounded, path, switch
from recipes import evidence as plan

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLE, PAGE = ROOT / 'docs' / 'evidence.csv', ROOT / 'docs' / 'evidence.md'
LOGS, PICTURES = ROOT / 'docs' / 'logs', ROOT / 'docs' / 'figures'
COLUMNS = ('claim', 'variant', 'updates', 'runs', 'settings', 'folds_map_at_r', 'recall@1', 'recall@1_low',
           'recall@1_high', 'map_at_r', 'map_at_r_low', 'map_at_r_high', 'less_reference', 'less_low', 'less_high',
           'commit', 'command')
START = 3          # seconds that a training takes beside its updates, evaluations included
VERDICTS = {'holds': 'holds', 'does not hold': 'does not hold: the opposite was found',
            'undecided': 'undecided at this scale', '': 'not yet measured'}
# claims that are no comparison of retrieval: modules with SAYS, hours, verdict, overview, section, draw and run
OTHERS = {module.NAME: module for module in (evidence_maps,)}


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


def grid(claim) -> dict:
    """{flag: values} that a claim's settings are chosen from."""
    return claim.get('grid', plan.GRID)


def hours(claim) -> float:
    """What a claim costs on one core, about."""
    settings = math.prod(len(values) for values in grid(claim).values())
    trainings = len(claim['losses']) * plan.FOLDS * (settings + claim['runs'] - 1)
    batch = plan.DATA[claim['data']]['batch_size']
    return trainings * (START + claim['updates'] * batch / plan.SPEEDS[claim['data']]) / 3600


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
                    raise UserError(f'{plan.TITLES[data]} needs --{name}_root=DIR, the folder of {value}')
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
    choices = [f'--grid={flag}={",".join(values)}' for flag, values in grid(claim).items()]
    return ['compare', '--losses=' + ','.join(claim['losses'].values()), f'--updates={claim["updates"]}',
            f'--runs={claim["runs"]}', f'--folds={plan.FOLDS}', f'--points={plan.POINTS[claim["data"]]}', *choices,
            *words_of(settings), f'--save_dir={folder}']


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
        lines.append(dict(zip(COLUMNS, (
            claim['name'], label, claim['updates'], claim['runs'], ' '.join(one['settings']),
            *(f'{number:.4f}' for number in numbers), commit,
            'python3 main.py evidence ' + claim['name'] + ' --data_root=DATA --weights_root=WEIGHTS'))))
    return lines


def read(table=TABLE) -> list[dict]:
    """Lines of docs/evidence.csv."""
    if not pathlib.Path(table).exists():
        return []
    with open(table, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def write(lines, table=TABLE) -> None:
    """Put the lines of one claim in the place of its older ones."""
    claim = lines[0]['claim']
    order = [one['name'] for one in plan.CLAIMS]
    kept = [line for line in read(table) if line['claim'] != claim] + lines
    kept.sort(key=lambda line: order.index(line['claim']) if line['claim'] in order else len(order))

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(kept)
    write_atomic(table, text.getvalue())


def verdict_of(claim, lines) -> str:
    """'holds', 'does not hold', 'undecided', or '' before it was measured."""
    line = next((one for one in lines if one['claim'] == claim['name'] and one['variant'] == claim['better'][0]), None)
    if line is None:
        return ''
    if float(line['less_low']) > 0:
        return 'holds'
    return 'does not hold' if float(line['less_high']) < 0 else 'undecided'


def page(lines) -> str:
    """docs/evidence.md: the plan, its cost and, claim by claim, what was found."""
    total = sum(map(hours, plan.CLAIMS)) + sum(module.hours() for module in OTHERS.values())
    text = ['# Evidence', '', 'Each paper\'s claim, tested by `python3 main.py evidence CLAIM --data_root=DATA '
            '--weights_root=WEIGHTS` on photographs that fit a CPU. Every variant of a claim gets the same number of '
            'updates and the same grid (' + ', '.join(f'{flag} {" ".join(values)}' for flag, values in
                                                     plan.GRID.items()) +
            f'), chosen by MAP@R on {plan.FOLDS} folds of the training classes; the test classes are scored once. '
            'Figures are means over seeds of the fold networks, in percent, with 95 % intervals; a claim holds when '
            'the interval of the paired difference of MAP@R lies above zero. These are small data sets, small networks '
            'and short trainings: a verdict is about them, not about the paper\'s own tables.', '',
            f'The whole plan costs about {total:.0f} hours on one core.', '',
            '| claim | paper | data | updates | seeds | hours | verdict |', '|---|---|---|---|---|---|---|']
    for claim in plan.CLAIMS:
        text.append(f'| {claim["name"]} | {claim["paper"]} | {plan.TITLES[claim["data"]]} | {claim["updates"]} | '
                    f'{claim["runs"]} | {hours(claim):.1f} | {VERDICTS[verdict_of(claim, lines)]} |')
    text += [module.overview() for module in OTHERS.values()]
    for claim in plan.CLAIMS:
        mine = [line for line in lines if line['claim'] == claim['name']]
        if not mine:
            continue
        text += ['', f'## {claim["name"]}', '', f'{claim["says"].capitalize()}. {plan.TITLES[claim["data"]]}: '
                 f'{VERDICTS[verdict_of(claim, lines)]}.', '',
                 f'| variant | settings | Recall@1 | MAP@R | MAP@R less {claim["better"][1]} | commit |',
                 '|---|---|---|---|---|---|']
        for line in mine:
            number = {key: 100 * float(line[key]) for key in COLUMNS[5:15]}
            text.append('| {variant} | {settings} | {0:.1f} ({1:.1f} to {2:.1f}) | {3:.1f} ({4:.1f} to {5:.1f}) | '
                        '{6:+.2f} ({7:+.2f} to {8:+.2f}) | {commit} |'.format(
                            *(number[key] for key in COLUMNS[6:15]), **line))
        text += ['', f'![curves and figures of {claim["name"]}](figures/evidence_{claim["name"]}.png)']
    for module in OTHERS.values():
        text += module.section()
    return '\n'.join(text + evidence_baselines.section(evidence_baselines.read())) + '\n'


def draw(claim, lines) -> None:
    """The picture of a claim from its lines of docs/evidence.csv and its curves in docs/logs."""
    evidence_curves.draw(LOGS / f'{claim["name"]}.csv', lines,
                         PICTURES / f'evidence_{claim["name"]}.png', evidence_baselines.frozen(claim['data']))


def run(args) -> int:
    """The command; returns the exit status."""
    names = {claim['name']: claim for claim in plan.CLAIMS}
    if args.claims == ['baselines']:
        for data in plan.DATA:
            found = evidence_baselines.measure(words_of(placed(data, args.data_root, args.weights_root)))
            evidence_baselines.write(data, found)
        write_atomic(PAGE, page(read()))
        return 0
    wanted = [pick_name('CLAIM', name, {**names, **OTHERS}) for name in args.claims]
    chosen = [names[name] for name in wanted if name in names] if wanted else sorted(plan.CLAIMS, key=hours)
    others = [module for name, module in OTHERS.items() if name in wanted or not wanted]
    if args.page:
        for module in OTHERS.values():
            module.draw()
        for claim in plan.CLAIMS:
            mine = [line for line in read() if line['claim'] == claim['name']]
            if mine:
                draw(claim, mine)
        write_atomic(PAGE, page(read()))
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
        evidence_curves.write(evidence_curves.collect(claim, Plan(**result['plan']), result['results']),
                              LOGS / f'{claim["name"]}.csv')
        draw(claim, lines)
        write_atomic(PAGE, page(read()))
        print(f'{claim["name"]}: {VERDICTS[verdict_of(claim, lines)]} -> {PAGE}')
    for module in others:
        if over(module.NAME):
            return 0
        status = module.run(args, base, lambda: write_atomic(PAGE, page(read())))
        if status:
            return status
    return 0
