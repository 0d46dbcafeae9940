"""A claim of docs/evidence.csv once more, beside what stands there."""

from __future__ import annotations

import os
import pathlib

from commands import children, evidence
from commands.evidence.tables import VERDICTS, read, rows, verdict_of
from core.errors import UserError
from core.files import read_json
from recipes import evidence as plan


def measured() -> dict[str, dict]:
    """{name: claim} of the claims that stand in docs/evidence.csv."""
    names = {line['claim'] for line in read()}
    return {claim['name']: claim for claim in plan.CLAIMS if claim['name'] in names}


def comparison(old, new) -> str:
    """Markdown of a claim's lines, old | new, percent; of the variants that stand in both."""
    before = {line['variant']: line for line in old}
    text = ['| variant | metric | old | new | difference |', '|---|---|---|---|---|']
    for line in (one for one in new if one['variant'] in before):
        for key in ('recall@1', 'map_at_r'):
            values = [float(one[key]) for one in (before[line['variant']], line)]
            cells = ['{:.1f} ({:.1f} to {:.1f})'.format(*(100 * float(one[key + end]) for end in ('', '_low', '_high')))
                     for one in (before[line['variant']], line)]
            text.append(f'| {line["variant"]} | {key} | ' + ' | '.join(cells) +
                        f' | {100 * (values[1] - values[0]):+.1f} |')
    return '\n'.join(text)


def run(claim, data_root, weights_root, seeds, base) -> int:
    """Train a claim's comparison below the folder `base` and print old | new. Returns the exit status.

    Raises
    ------
    UserError : DATA/ or WEIGHTS/ is needed and was not given; seeds that do not follow each other
    """
    from engine.run import commit
    first = seeds[0] if seeds else 0
    if seeds and list(seeds) != list(range(first, first + len(seeds))):
        raise UserError(f'--seeds={",".join(map(str, seeds))}: those of a comparison follow each other. Fix: --seeds=' +
                        ','.join(str(first + i) for i in range(len(seeds))))
    claim = dict(claim, runs=len(seeds) or claim['runs'])
    folder = os.path.join(base, evidence.shared(claim))
    status = children.call([*evidence.words(claim, data_root, weights_root, folder), f'--seed={first}'])
    if status:
        return status
    old = [line for line in read() if line['claim'] == claim['name']]
    new = rows(claim, read_json(pathlib.Path(folder, 'compare.json')), commit())
    verdicts = [VERDICTS[verdict_of(claim, lines)] for lines in (old, new)]
    print(f'\n{claim["name"]} ({plan.TITLES[claim["data"]]}); old: {old[0]["runs"]} seeds, commit {old[0]["commit"]}, '
          f'{verdicts[0]}; new: {claim["runs"]} seeds from {first} on, {verdicts[1]}\n\n{comparison(old, new)}\n'
          f'-> {folder}')
    return 0
