"""`python3 main.py evidence ranking_modes --data_root=DIR`: the modes of the ranking regulariser, by accuracy.

Half of the photos of each class are for testing. Of the others a part chooses the settings of each variant; then all of
them train it with every seed, and the test photos are scored once. The imbalanced subset thins out the training photos
alone. Stopped anywhere, the same command goes on; what is finished stands in docs/ranking_modes.csv.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib

import numpy as np

from commands import children, compare, layers
from commands.words import words_of
from core.errors import UserError
from core.lazy import lazy
from core.tables import read_records, write_records
from recipes import evidence_ranking as plan

plots = lazy('evaluation.plots.evidence')

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE, PICTURE = ROOT / 'docs' / 'ranking_modes.csv', ROOT / 'docs' / 'figures' / 'ranking_modes.png'
NAME, PAPER, SAYS = 'ranking_modes', 'ranking_regularizer', plan.SAYS
SCORES = ('accuracy', 'macro_accuracy', 'recall@1_head', 'recall@1_pooled')
COLUMNS = ('subset', 'variant', 'seed', 'updates', 'settings', 'validation_accuracy', *SCORES, 'seconds', 'commit')
SETTINGS = [[f'--{flag}={value}' for flag, value in zip(plan.GRID, values)]
            for values in itertools.product(*plan.GRID.values())]


def variants() -> list[tuple[str, str, dict]]:
    """[(subset, name, {flag: value})], the reference of each subset first; the sweep on the balanced one."""
    found = [(subset, name, flags) for subset in plan.SUBSETS for name, flags in plan.MODES.items()]
    return found + [(plan.SUBSETS[0], f'{plan.SWEEP}, lambda {weight:g}',
                     {**plan.MODES[plan.SWEEP], 'triplet_loss_lambda': weight}) for weight in plan.LAMBDAS]


def hours() -> float:
    """What the claim costs on one core, about."""
    return len(variants()) * (len(SETTINGS) + plan.SEEDS) * plan.SECONDS / 3600


def kept_of(count: int, place: int, classes: int) -> int:
    """How many of the training photos of a class the imbalanced subset keeps.

    >>> [kept_of(20, place, 3) for place in range(3)]
    [20, 6, 4]
    """
    return min(count, max(plan.LEAST, round(count * plan.SHARE ** (place / (classes - 1)))))


def lists(root, folder) -> dict[tuple[str, str], str]:
    """Write CSV files of the photos: {(subset, 'choose' or 'test'): file}.

    Parameters
    ----------
    root : folder of class folders
    folder : to write to
    """
    classes = sorted(entry for entry in pathlib.Path(root).iterdir() if entry.is_dir())[:plan.CLASSES]
    places = dict(zip(classes, np.random.RandomState(0).permutation(len(classes)).tolist()))
    files = {}
    os.makedirs(folder, exist_ok=True)
    for subset, purpose in itertools.product(plan.SUBSETS, ('choose', 'test')):
        rows = []
        for entry in classes:
            photos = sorted(entry.iterdir())
            train, test = photos[:-(len(photos) // 2)], photos[-(len(photos) // 2):]
            held = max(1, round(plan.VALIDATION * len(train)))
            if purpose == 'choose':
                train, test = train[:-held], train[-held:]
            if subset != plan.SUBSETS[0]:
                train = train[:kept_of(len(train), places[entry], len(classes))]
            rows += [(photo, entry.name, part) for part, photos in (('train', train), ('test', test))
                     for photo in photos]
        files[subset, purpose], columns = os.path.join(folder, f'{subset}-{purpose}.csv'), ('path', 'label', 'split')
        write_records(files[subset, purpose], columns, (dict(zip(columns, row)) for row in rows))
    return files


def words(flags, chosen, file, seed, folder, store) -> list[str]:
    """The words of one training."""
    return words_of({**compare.QUIET, **plan.FLAGS, **flags, 'train_iters': plan.UPDATES, 'data_name': 'folder',
                     'data_dir': file, 'store_dir': store, 'seed': seed, 'save_dir': folder}, chosen)


def result_of(training, folder) -> dict:
    """result.json of a training, made or finished now if it is not there. Raises compare.Stopped."""
    file = pathlib.Path(folder, 'result.json')
    if not file.exists():
        compare.must(children.here(children.onward(training, folder)))
    return json.loads(file.read_text(encoding='utf-8'))


def pooled_recall(training, folder) -> float:
    """Recall@1 of the feature that the classifier sees, on the test photos."""
    from commands.session import Session
    from core.normalize import unit_rows
    from engine import checkpoint, inference
    from evaluation.protocols import retrieval
    session = Session(layers.parse('train', training), checkpoint.locate(folder))
    net, loader = session.forward(session.data.test)
    feature = inference.run(net, loader, lambda image: (net(image).feature,))[0]
    return retrieval(unit_rows(feature), session.data.test.labels, [1])['recall']['1']


def measure(subset, name, flags, files, base) -> list[dict]:
    """Lines of docs/ranking_modes.csv of one variant. Raises compare.Stopped."""
    from engine import checkpoint
    place = os.path.join(base, NAME, subset, name.replace(', ', '-').replace(' ', ''))
    store = os.path.join(base, 'maps')
    tried = []
    for chosen in SETTINGS:
        folder = os.path.join(place, 'choose-' + ','.join(word.lstrip('-') for word in chosen))
        found = result_of(words(flags, chosen, files[subset, 'choose'], 0, folder, store), folder)
        tried.append((found['selection']['last']['accuracy'], chosen))
        checkpoint.drop(folder)
    score, chosen = max(tried, key=lambda pair: pair[0])
    lines = []
    for seed in range(plan.SEEDS):
        folder = os.path.join(place, f'seed{seed}')
        training = words(flags, chosen, files[subset, 'test'], seed, folder, store)
        found = result_of(training, folder)
        last = found['selection']['last']
        numbers = (last['accuracy'], last['macro_accuracy'], last['recall']['1'], pooled_recall(training, folder))
        lines.append(dict(zip(COLUMNS, (subset, name, str(seed), str(found['iterations']), ' '.join(chosen),
                                        f'{score:.4f}', *(f'{number:.4f}' for number in numbers),
                                        str(round(found['seconds'])), found['commit']))))
    return lines


def read(table=None) -> list[dict]:
    """Lines of docs/ranking_modes.csv."""
    return read_records(table or TABLE)


def write(lines) -> None:
    """Put the lines of one variant in the place of its older ones."""
    order = [(subset, name) for subset, name, _ in variants()]
    here = lines[0]['subset'], lines[0]['variant']
    kept = [line for line in read() if (line['subset'], line['variant']) != here] + lines
    kept.sort(key=lambda line: (order.index((line['subset'], line['variant'])), int(line['seed'])))
    write_records(TABLE, COLUMNS, kept)


def summary(lines=None) -> dict[tuple[str, str], dict]:
    """{(subset, variant): {score: (mean, low, high), 'less': the paired difference of accuracy to the reference}}."""
    from evaluation.intervals import mean_interval, paired_difference
    lines, found, reference = read() if lines is None else lines, {}, next(iter(plan.MODES))
    for subset, name, _ in variants():
        mine = [line for line in lines if (line['subset'], line['variant']) == (subset, name)]
        if not mine:
            continue
        values = {score: {line['seed']: float(line[score]) for line in mine} for score in SCORES}
        found[subset, name] = {score: tuple(mean_interval([*values[score].values()])[:3]) for score in SCORES}
        found[subset, name].update(values=values, settings=mine[0]['settings'], updates=mine[0]['updates'],
                                   seeds=len(mine), commit=mine[0]['commit'])
        if name != reference and (subset, reference) in found:
            for score in SCORES[:2]:
                others = found[subset, reference]['values'][score]
                both = [seed for seed in values[score] if seed in others]
                found[subset, name]['less ' + score] = tuple(paired_difference(
                    [values[score][seed] for seed in both], [others[seed] for seed in both])[:3])
    return found


def verdict(lines=None) -> str:
    """Hard triplets against softmax alone, accuracy on the balanced photos."""
    one = summary(lines).get((plan.SUBSETS[0], 'hard'))
    if one is None:
        return 'not yet measured'
    _, low, high = one['less accuracy']
    return 'holds' if low > 0 else 'does not hold: the opposite was found' if high < 0 else 'undecided at this scale'


def overview() -> str:
    """Its line in the table of claims of docs/evidence.md."""
    return (f'| {NAME} | {PAPER} | {plan.TITLE} | {plan.UPDATES} | {plan.SEEDS} | {hours():.1f} | {verdict()} |')


def short(lines=None) -> tuple[str, str, str, str]:
    """Cells of its line in the table of the README: where, figures, difference, verdict; () before it was measured."""
    found, (reference, *_) = summary(lines), plan.MODES
    one, other = (found.get((plan.SUBSETS[0], name)) for name in ('hard', reference))
    if one is None or other is None:
        return ()
    mean, low, high = (100 * number for number in one['less accuracy'])
    figures = f'accuracy: hard {100 * one["accuracy"][0]:.1f}, {reference} {100 * other["accuracy"][0]:.1f}'
    return 'birds, trained classes', figures, f'{mean:+.2f} ({low:+.2f} to {high:+.2f})', verdict(lines)


def section() -> list[str]:
    """Its section of docs/evidence.md; [] before anything was measured."""
    found = summary()
    if not found:
        return []

    def cell(interval, form='{:.1f} ({:.1f} to {:.1f})'):
        return form.format(*(100 * number for number in interval)) if interval else ''
    grid = ', '.join(f'{flag} {" ".join(values)}' for flag, values in plan.GRID.items())
    text = ['', f'## {NAME}', '', f'{SAYS[0].upper()}{SAYS[1:]}. {plan.TITLE}; half of the photos of each class test. '
            f'Verdict (hard against vanilla, accuracy, balanced): {verdict()}. Settings: the best of {grid} by '
            f'accuracy on {100 * plan.VALIDATION:.0f} % of the training photos, then all of them train. Imbalanced: '
            f'the training photos of the classes fall geometrically to a {1 / plan.SHARE:.0f}th. With a frozen trunk '
            'the two heads share nothing that is trained, and all modes have the same classifier: the last '
            f'convolution and its BatchNorm are trained here (`--freeze_blocks={plan.FLAGS["freeze_blocks"]}`). '
            'Percent, 95 % intervals; softmax alone has no second head, its embedding is the pooled feature.', '',
            '| photos | variant | settings | updates | seeds | accuracy | macro accuracy | accuracy less vanilla | '
            'macro less vanilla | Recall@1 head | Recall@1 pooled | commit |',
            '|---|---|---|---|---|---|---|---|---|---|---|---|']
    signed = '{:+.1f} ({:+.1f} to {:+.1f})'
    for (subset, name), one in found.items():
        less = (cell(one.get(f'less {score}'), signed) for score in SCORES[:2])
        text.append(f'| {subset} | {name} | {one["settings"]} | {one["updates"]} | {one["seeds"]} | '
                    f'{cell(one["accuracy"])} | {cell(one["macro_accuracy"])} | {" | ".join(less)} | '
                    f'{cell(one["recall@1_head"])} | {cell(one["recall@1_pooled"])} | {one["commit"]} |')
    return text + ['', f'`python3 main.py evidence {NAME} --data_root=DATA`', '',
                   f'![accuracy of each mode](figures/{PICTURE.name})']


def draw() -> None:
    """docs/figures/ranking_modes.png from the table."""
    found = summary()
    if found:
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        plots.intervals({subset: {name: one['accuracy'] for (of, name), one in found.items() if of == subset}
                         for subset in dict.fromkeys(subset for subset, _ in found)}, 'accuracy, %', PICTURE)


def run(args, base, finished) -> int:
    """Train what is missing. base : folder of the runs; finished : called after each variant. Returns the status."""
    if not args.data_root:
        raise UserError(f'{NAME} has no photos. Fix: --data_root=DIR, which holds cub200_2010/')
    root = os.path.join(args.data_root, 'cub200_2010', 'images')
    if not os.path.isdir(root):
        raise UserError(f'--data_root={args.data_root}: {root} is not there. Fix: the folder that holds cub200_2010/')
    files = lists(root, os.path.join(base, NAME))
    try:
        for subset, name, flags in variants():
            write(measure(subset, name, flags, files, base))
            draw()
            finished()
    except compare.Stopped as stop:
        return stop.status
    print(f'{NAME}: {verdict()} -> {TABLE}')
    return 0
