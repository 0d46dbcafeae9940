"""`python3 main.py evidence mnist_maps --data_root=DIR [--epochs=N]`: Figure 3 of Heated-Up Softmax, map by map.

First a run whose answer is known from the authors' program, then one training for each map. Each finished one stands
at once in docs/mnist_maps.csv, its log and points small in docs/logs, and in docs/figures/mnist_maps.png. Stopped
anywhere, the same command goes on. A map of more epochs takes the place of a shorter one.
"""

from __future__ import annotations

import json
import os
import pathlib
import textwrap

import numpy as np

from commands import children
from commands.words import words_of
from core.errors import UserError
from core.files import read_log, write_atomic
from core.lazy import lazy
from core.tables import read_records, write_records
from recipes import evidence_maps as plan

panels = lazy('evaluation.plots.map_panels')

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE, LOGS = ROOT / 'docs' / 'mnist_maps.csv', ROOT / 'docs' / 'logs'
PICTURE = ROOT / 'docs' / 'figures' / 'mnist_maps.png'
NAME, PAPER, TITLE, SEED = 'mnist_maps', 'heated_up_softmax', 'MNIST, LeNet with 2 numbers', 0
SAYS = plan.SAYS
COLUMNS = ('map', 'digits', 'epochs', 'hot_epochs', 'updates', 'seed', 'seconds', 'accuracy', 'recall@1', 'map_at_r',
           'spread', 'gap', 'commit', 'command')
LOG = ('epoch', 'step', 'seconds', 'loss', 'accuracy', 'recall@1', 'map_at_r')
POINTS = 2500       # of a map that are kept


def hot_epochs(epochs: int) -> int:
    """--nb_hu_epoch of a shorter map: the paper's share, and one hot epoch at least.

    >>> hot_epochs(100), hot_epochs(20), hot_epochs(2)
    (20, 4, 2)
    """
    return min(epochs, max(2, round(epochs * plan.HOT / plan.EPOCHS)))


def hours(epochs: int = plan.EPOCHS) -> float:
    """What the maps cost on one core, about."""
    images = len(plan.MAPS) * epochs * plan.DIGITS + plan.KNOWN['epochs'] * plan.KNOWN['digits']
    return images / plan.SPEED / 3600


def trainings(epochs: int) -> list[tuple[str, str, int, dict]]:
    """[(map, data set, epochs, {flag: value})], the known answer first."""
    known = plan.KNOWN
    todo = [(known['name'], known['data'], known['epochs'],
             {**plan.FLAGS, **known['flags'], 'epochs': known['epochs'], 'nb_hu_epoch': known['hot']})]
    for name, (flags, _) in sorted(plan.MAPS.items(), key=lambda item: item[0] == plan.BESIDE):
        hot = {'nb_hu_epoch': hot_epochs(epochs)} if 'heat_up' in flags else {}
        todo.append((name, plan.TRAIN, epochs,
                     {**plan.FLAGS, **flags, **hot, 'epochs': epochs, 'eval_epoch_term': max(1, epochs // 20)}))
    return todo


def spread_and_gap(degrees: dict) -> tuple[float, float]:
    """(mean angle between a point and its class's mean direction, smallest angle between two mean directions).

    >>> spread_and_gap({0: [350, 10], 1: [90, 90], 2: [170, 190]})
    (6.7, 90.0)
    """
    means, angles = [], []
    for values in degrees.values():
        units = np.exp(1j * np.radians(values))
        means.append(units.mean())
        angles.append(np.abs(np.angle(units / means[-1])).mean())
    pairs = np.abs(np.angle(np.divide.outer(means, means)))[np.triu_indices(len(means), 1)]
    return round(float(np.degrees(np.mean(angles))), 1), round(float(np.degrees(pairs.min())), 1)


def row_of(name, folder, degrees) -> dict:
    """A line of docs/mnist_maps.csv from the run folder of a map."""
    result = json.loads(pathlib.Path(folder, 'result.json').read_text(encoding='utf-8'))
    last, args = result['selection']['last'], result['args']
    return dict(zip(COLUMNS, (
        name, result['data']['train']['images'], args['epochs'], args['nb_hu_epoch'] - 1 if args['heat_up'] else 0,
        result['iterations'], args['seed'], round(result['seconds']), f'{last["accuracy"]:.4f}',
        f'{last["recall"]["1"]:.4f}', f'{last["map_at_r"]:.4f}', *spread_and_gap(degrees), result['commit'],
        f'python3 main.py evidence {NAME} --data_root=DATA --epochs={args["epochs"]}')))


def points(folder) -> tuple[dict, list]:
    """({label: directions of the test digits in degrees}, directions of the class weights) of a run folder."""
    from core.runtime import nd
    from engine import checkpoint
    from evaluation.embeddings import load_embeddings
    file = os.path.join(folder, 'test.npz')
    if not os.path.exists(file):
        children.here(['embed', f'--checkpoint={folder}', f'--output={file}'])
    loaded = load_embeddings(file)
    weights = nd.load(os.path.join(checkpoint.locate(folder), 'criterion.params'))['weight'].asnumpy()
    directions, weights = (np.degrees(np.arctan2(xy[:, 1], xy[:, 0])) for xy in (loaded.embeddings, weights))
    return {int(label): directions[loaded.labels == label] for label in np.unique(loaded.labels)}, weights


def keep(name, folder, degrees, weights) -> None:
    """docs/logs/mnist_maps_NAME.json: the log of its evaluations, and the directions of a part of its points."""
    lines = [[line['epoch'], line['step'], round(line['seconds']), round(line['loss'], 4), round(line['accuracy'], 4),
              round(line['recall']['1'], 4), round(line['map_at_r'], 4)]
             for line in read_log(pathlib.Path(folder, 'log.jsonl')) if 'recall' in line]
    every = max(1, sum(map(len, degrees.values())) // POINTS)
    found = {'columns': LOG, 'log': lines, 'weights': np.round(weights).astype(int).tolist(),
             'degrees': {label: np.round(values[::every]).astype(int).tolist() for label, values in degrees.items()}}
    LOGS.mkdir(parents=True, exist_ok=True)
    write_atomic(LOGS / f'{NAME}_{name}.json', json.dumps(found, separators=(',', ':')).replace('],', '],\n') + '\n')


def read(table=TABLE) -> list[dict]:
    """Lines of docs/mnist_maps.csv."""
    return read_records(table)


def write(row, table=TABLE) -> bool:
    """Put a map in the place of an older one, unless that was trained for longer; returns whether it was."""
    lines = read(table)
    if any(line['map'] == row['map'] and int(line['updates']) > int(row['updates']) for line in lines):
        return False
    order = [plan.KNOWN['name'], *plan.MAPS]
    lines = sorted([line for line in lines if line['map'] != row['map']] + [row],
                   key=lambda line: order.index(line['map']))
    write_records(table, COLUMNS, lines)
    return True


def draw() -> None:
    """docs/figures/mnist_maps.png from the table and docs/logs."""
    found = {line['map']: line for line in read()}
    shown = []
    for name, (_, said) in plan.MAPS.items():
        if name in found:
            kept = json.loads((LOGS / f'{NAME}_{name}.json').read_text(encoding='utf-8'))
            title = '16 heated up to 4' if name == 'map_heated' else 'alpha ' + name.partition('_')[2]
            said = textwrap.fill(f'paper: {said}', 26)
            shown.append((title, f'{said}\n{int(found[name]["updates"]):,} updates, accuracy '
                          f'{float(found[name]["accuracy"]):.3f}', kept['degrees'], kept['weights']))
    if shown:
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        panels.map_panels(shown, PICTURE)


def statements(lines) -> list[tuple[str, bool]]:
    """What the paper says, as comparisons of the table's figures; [] unless its figure's maps have as many updates."""
    wanted = set(plan.MAPS) - {plan.BESIDE}
    found = {line['map']: {key: float(line[key]) for key in ('updates', 'accuracy', 'map_at_r', 'spread', 'gap')}
             for line in lines if line['map'] in wanted}
    if len(found) < len(wanted) or len({one['updates'] for one in found.values()}) > 1:
        return []
    small, middle, large, heated = (found[name] for name in ('map_0.25', 'map_16', 'map_64', 'map_heated'))
    return [('alpha 0.25 merges classes: the lowest accuracy of all',
             small['accuracy'] == min(one['accuracy'] for one in found.values())),
            ('alpha 64 is wider than 4 and 16', large['spread'] > max(middle['spread'], found['map_4']['spread'])),
            ('heated up is more compact than 16 left alone', heated['spread'] < middle['spread']),
            ('heated up is the best for retrieval: the highest MAP@R of all',
             heated['map_at_r'] == max(one['map_at_r'] for one in found.values()))]


def verdict(lines=None) -> str:
    """One short sentence, for the table of claims."""
    lines = read() if lines is None else lines
    said = statements(lines)
    if not said:
        done = sum(line['map'] in plan.MAPS for line in lines)
        return f'{done} of {len(plan.MAPS)} maps measured' if done else 'not yet measured'
    held = sum(holds for _, holds in said)
    words = {len(said): 'holds', 0: 'does not hold'}.get(held, f'holds in part: {held} of {len(said)} statements')
    return f'{words} (one seed)'


def overview() -> str:
    """Its line in the table of claims of docs/evidence.md."""
    updates = plan.EPOCHS * (plan.DIGITS // plan.FLAGS['batch_size'])
    return f'| {NAME} | {PAPER} | {TITLE} | {updates} | 1 | {hours():.1f} | {verdict()} |'


def short(lines=None) -> tuple[str, str, str, str]:
    """Cells of its line in the table of the README: where, figures, difference, verdict; () before it was measured."""
    lines = read() if lines is None else lines
    found = {line['map']: 100 * float(line['map_at_r']) for line in lines}
    if not statements(lines):
        return ()
    hot, cold = found['map_heated'], found['map_16']
    return ('MNIST, 2 numbers', f'heated {hot:.1f}, alpha 16 {cold:.1f}', f'{hot - cold:+.2f}', verdict(lines))


def section() -> list[str]:
    """Its section of docs/evidence.md; [] before anything was measured."""
    lines = read()
    if not lines:
        return []
    known = plan.KNOWN
    text = ['', f'## {NAME}', '',
            f'{plan.SAYS[0].upper()}{plan.SAYS[1:]}. {TITLE}, {plan.DIGITS:,} training digits (60,000 less the 5,000 '
            f'that the authors\' program sets aside), all 10,000 test digits; the paper trains {plan.EPOCHS} epochs, '
            f'the last {plan.HOT} hot. Verdict: {verdict()}. Spread is the mean angle between a digit and the mean '
            'direction of its class, gap the smallest angle between the mean directions of two classes.', '',
            '| map | digits | epochs, hot | updates | seconds | seed | accuracy | Recall@1 | MAP@R | spread | gap | '
            'commit |', '|---|---|---|---|---|---|---|---|---|---|---|---|']
    for line in lines:
        number = [f'{100 * float(line[key]):.1f}' for key in ('accuracy', 'recall@1', 'map_at_r')]
        text.append('| {map} | {digits} | {epochs}, {hot_epochs} | {updates} | {seconds} | {seed} | {0} | {1} | {2} | '
                    '{spread}° | {gap}° | {commit} |'.format(*number, **line))
    if any(line['map'] == known['name'] for line in lines):
        text += ['', f'The known answer is LN, 16 heated up to 4, {known["epochs"]} epochs on {known["digits"]:,} '
                 f'digits, tested on 2,000: the authors\' own program reached accuracy {100 * known["accuracy"]:.1f} '
                 f'and Recall@1 {100 * known["recall@1"]:.1f} in one run.']
    text += [''] * bool(statements(lines)) + [f'- {said}: {"yes" if holds else "no"}'
                                              for said, holds in statements(lines)]
    if PICTURE.exists():
        text += ['', f'![maps of MNIST for each alpha](figures/{PICTURE.name})']
    return text


def run(args, base, finished) -> int:
    """Train what is missing. base : folder of the runs; finished : called after each map. Returns the exit status."""
    if not args.data_root:
        raise UserError(f'{plan.TRAIN} lies in no known folder. Fix: --data_root=DIR, which holds mnist/ and '
                        'mnist_t10k/')
    for name, data, epochs, flags in trainings(args.epochs or plan.EPOCHS):
        folder = os.path.join(base, NAME, f'{name}-{epochs}')
        if not os.path.exists(os.path.join(folder, 'result.json')):
            status = children.call(children.onward(words_of(
                {**flags, 'data_name': data, 'data_dir': os.path.join(args.data_root, data), 'seed': SEED,
                 'save_dir': folder}), folder))
            if status:
                return status
        degrees, weights = points(folder)
        if write(row_of(name, folder, degrees)):
            keep(name, folder, degrees, weights)
            draw()
            finished()
    print(f'{NAME}: {verdict()} -> {TABLE}')
    return 0
