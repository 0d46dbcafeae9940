"""docs/evidence.md and the table of the README, made from docs/evidence.csv and what lies beside it."""

from __future__ import annotations

import pathlib
import re

from commands.evidence import baselines, maps, ranking
from commands.evidence.tables import COLUMNS, VERDICTS, grid_of, hours, read, verdict_of
from core.files import write_atomic
from recipes import evidence as plan

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE, README = ROOT / 'docs' / 'evidence.md', ROOT / 'README.md'
BEGIN, END = '<!-- evidence:begin -->', '<!-- evidence:end -->'
ENDS = ('', '_low', '_high')
POOLED = ('pooled_recall@1', 'pooled_map_at_r')    # of the trained trunk, without its head
SOURCE = re.compile(r' \([^()]*\)$')    # of a claim, at its end
# claims that are no comparison of retrieval: modules with SAYS, hours, verdict, overview, section, draw and run
OTHERS = {module.NAME: module for module in (maps, ranking)}


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
        says, where, pooled = claim['says'], plan.TITLES[claim['data']], any(line.get(POOLED[0]) for line in mine)
        heads = ['variant', 'settings', 'Recall@1', 'MAP@R', f'MAP@R less {claim["better"][1]}',
                 *(['pooled Recall@1', 'pooled MAP@R'] if pooled else []), 'commit']
        text += ['', f'## {claim["name"]}', '',
                 ' '.join([f'{says[0].upper()}{says[1:]}. {where}: {VERDICTS[verdict_of(claim, lines)]}.',
                           *own_plan(claim), *([claim['note']] if 'note' in claim else [])]), '',
                 '| ' + ' | '.join(heads) + ' |', '|' + len(heads) * '---|']
        for line in mine:
            number = {key: 100 * float(line[key]) for key in COLUMNS[5:15]}
            less = ('–' if line['variant'] == claim['better'][1] else
                    '{less_reference:+.2f} ({less_low:+.2f} to {less_high:+.2f})'.format(**number))
            recall, precision = ('{:.1f} ({:.1f} to {:.1f})'.format(*(number[f'{key}{end}'] for end in ENDS))
                                 for key in ('recall@1', 'map_at_r'))
            without_head = [f'{100 * float(line[key]):.1f}' for key in POOLED] if pooled else []
            text.append('| ' + ' | '.join([line['variant'], line['settings'], recall, precision, less, *without_head,
                                           line['commit']]) + ' |')
        text += ['', f'![curves and figures of {claim["name"]}](figures/evidence_{claim["name"]}.png)']
    for module in OTHERS.values():
        text += module.section()
    return '\n'.join(text + baselines.section(baselines.read())) + '\n'


def own_plan(claim) -> list[str]:
    """The sentence on the grid and the folds of a claim that has its own; [] for another.

    >>> own_plan({'grid': {'lr': ('1e-4', '1e-3')}, 'folds': 2})
    ['Its own grid: lr 1e-4 1e-3, on 2 folds.']
    """
    if not {'grid', 'folds'} & set(claim):
        return []
    grid = ', '.join(f'{flag} {" ".join(values)}' for flag, values in grid_of(claim).items())
    return [f'Its own grid: {grid}, on {claim.get("folds", plan.FOLDS)} folds.']


def summary(lines) -> str:
    """The table of the README: what was measured, a line a claim.

    Parameters
    ----------
    lines : of docs/evidence.csv
    """
    text = ['| claim | tested on | MAP@R, % | difference, 95 % interval | verdict |', '|---|---|---|---|---|']
    for claim in plan.CLAIMS:
        mine = {line['variant']: line for line in lines if line['claim'] == claim['name']}
        if not mine:
            continue
        better, other = (mine[label] for label in claim['better'])
        number = {key: 100 * float(better[key]) for key in ('less_reference', 'less_low', 'less_high')}
        scores = [f'{line["variant"]} {100 * float(line["map_at_r"]):.1f}' for line in (better, other)]
        text.append(f'| {SOURCE.sub("", claim["says"])} | {plan.SHORT[claim["data"]]} | {", ".join(scores)} | '
                    '{less_reference:+.2f} ({less_low:+.2f} to {less_high:+.2f}) | '.format(**number) +
                    f'{VERDICTS[verdict_of(claim, lines)]} |')
    for module in OTHERS.values():
        cells = module.short()
        if cells:
            text.append(f'| {SOURCE.sub("", module.SAYS)} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(text)


def between(text, table) -> str:
    """The README with `table` between its two markers."""
    before, after = text[:text.index(BEGIN) + len(BEGIN)], text[text.index(END):]
    return f'{before}\n{table}\n{after}'


def write_pages() -> None:
    """Make docs/evidence.md and the README's table anew."""
    lines = read()
    write_atomic(PAGE, page(lines))
    write_atomic(README, between(README.read_text(encoding='utf-8'), summary(lines)))
