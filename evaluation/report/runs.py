"""Run folders as data: read, checked, grouped over seeds."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import shlex
import statistics
from collections import namedtuple

from core.errors import UserError
from core.files import read_log
from core.text import printable
from evaluation.settings import RULES

FinishedRun = namedtuple('FinishedRun', 'folder args result log')
FinishedRun.__doc__ = """A finished run: its folder (Path), args, result (dicts of its files), log (list of dicts)."""

# Flags that do not change what is learnt or measured. All others must be equal for runs to share a row.
NOT_SETTINGS = {'seed', 'save_dir', 'resume', 'argv', 'dry_run', 'gpu_idx', 'num_workers', 'kvstore', 'figures',
                'draw', 'display_step', 'summary_step', 'baselines', 'prepare', 'test_batch_size', 'tsne_points',
                'checkpoint', 'output', 'embeddings', 'recallk', 'start_epoch', 'keep_archives', 'cache', 'command',
                'nmi', 'cluster', 'shard', 'which', 'prefix', 'store_dir', 'history', 'allow_pickle',
                'archive'}


def find(paths: list) -> list[pathlib.Path]:
    """Run folders below `paths`: each path is a run folder or a folder that holds some, at any depth.

    Raises UserError for a path that does not exist or holds no run.
    """
    found = []
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            raise UserError(f'{path} is not a folder. Fix: run folders, or folders that hold some: '
                            'python3 main.py report runs/A runs/B')
        here = [path] if is_run(path) else sorted(
            {file.parent for name in ('args.json', 'result.json') for file in path.rglob(name) if is_top(file, path)})
        if not here:
            raise UserError(f'{path} holds no run: there is no args.json or result.json in it or below it. '
                            'Fix: the folder that training printed')
        found += [folder for folder in here if folder.resolve() not in {f.resolve() for f in found}]
    return found


def is_run(folder) -> bool:
    """Whether a folder holds what a run writes."""
    return (folder / 'args.json').exists() or (folder / 'result.json').exists()


def is_top(file, root) -> bool:
    """False for JSON files of a run's own sub-folders: checkpoints and evaluations."""
    above = [folder for folder in file.parent.parents if folder == root or root in folder.parents]
    return not any(is_run(folder) for folder in above)


def load_json(path) -> dict:
    """The dict of a JSON file; ValueError says what is wrong with it."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f'{path.name} is missing') from None
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f'{path.name} cannot be read ({error})') from None
    if not isinstance(value, dict):
        raise ValueError(f'{path.name} is not a JSON object')
    return value


def read(folder, resolve=str) -> FinishedRun:
    """A finished run.

    Parameters
    ----------
    folder : of the run
    resolve : function that makes the registered data name of any spelling, or raises UserError

    Returns
    -------
    FinishedRun

    Raises
    ------
    ValueError : why it cannot be in a table
    """
    folder = pathlib.Path(folder)
    log = read_log(folder / 'log.jsonl')
    if not (folder / 'result.json').exists():
        epochs = [record['epoch'] for record in log if record.get('kind') == 'epoch' and 'epoch' in record]
        last = f' (last complete epoch {epochs[-1]})' if epochs else ''
        raise ValueError(f'unfinished: it has no result.json{last}')
    result = load_json(folder / 'result.json')
    if 'selection' not in result and 'recall' in result:
        result['selection'] = {'evaluated': {key: value for key, value in result.items() if key != 'args'}}
    selection = result.get('selection')
    if not isinstance(selection, dict) or not any(isinstance(part, dict) for part in selection.values()):
        raise ValueError('result.json has no `selection` with numbers')
    if any(part is not None and not isinstance(part, dict) for part in selection.values()):
        raise ValueError('result.json: a part of `selection` is no JSON object')
    if not any(metrics(part) for part in selection.values()):
        raise ValueError('result.json has no metric in its `selection`')
    args = load_json(folder / 'args.json') if (folder / 'args.json').exists() else {}
    if not isinstance(result.get('args') or {}, dict):
        raise ValueError('result.json: `args` is no JSON object')
    args.update(result.get('args') or {})
    try:
        args['seed'] = int(args.get('seed') or 0)
    except (TypeError, ValueError):
        raise ValueError(f'its seed is {args["seed"]!r}, which is no whole number') from None
    args.setdefault('data_name', result.get('data_name', 'unknown data'))
    args['data_name'] = str(args['data_name'])
    with contextlib.suppress(UserError):  # results of embeddings from a file may name any data
        args['data_name'] = resolve(args['data_name'])
    return FinishedRun(folder, args, result, log)


def read_all(paths: list, resolve=str) -> tuple[list, list[str]]:
    """(list of FinishedRun, list of notes on folders that were left out). UserError when none is usable."""
    runs, notes = [], []
    for folder in find(paths):
        try:
            run = read(folder, resolve)
            one = Group([run], {})    # whatever else is wrong with its files shows here: a note on this run alone
            one.updates(), one.baselines(), one.trunk(), [one.scores(rule) for rule in one.rules()]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OSError) as error:
            reason = error if isinstance(error, ValueError) else f'its files are damaged ({error!r})'
            notes.append(printable(f'{folder} is left out: {reason}'))
            continue
        runs.append(run)
    if not runs:
        raise UserError('no finished run among the given folders:\n  ' + '\n  '.join(notes) +
                        '\nFix: wait for one, or --resume=RUN')
    return runs, notes


def metrics(part: dict) -> dict[str, float]:
    """{'recall@1': 0.41, 'nmi_arithmetic': ...} of one part of `selection` (fractions), in its order."""
    found = {}
    for key, value in (part or {}).items():
        if key == 'recall' and isinstance(value, dict):
            found.update({f'recall@{k}': v for k, v in sorted(((k, v) for k, v in value.items() if k.isdigit()),
                                                              key=lambda item: int(item[0]))})
        elif is_score(key, value):
            found[key] = value
    return {key: float(value) for key, value in found.items() if is_number(value)}


def is_number(value) -> bool:
    """Whether a value of a JSON file is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_score(key, value) -> bool:
    """A number between 0 and 1 under a metric's name."""
    scores = ('nmi', 'f1', 'ami', 'map', 'r_precision', 'precision', 'accuracy', 'macro_accuracy', 'auc', 'tar',
              'verification')
    return is_number(value) and 0 <= value <= 1 and key.startswith(scores)


def data_title(args: dict, titles: dict) -> str:
    """The data set in full: name, level or folder, crops, and what was held out."""
    name = args['data_name']
    title = titles.get(name, name)
    if name == 'glyphs':
        level, classes, drawings = (args.get('glyphs_' + key, '?') for key in ('level', 'classes', 'instances'))
        title = f'glyphs ({level} level, {classes} classes, {drawings} drawings each)'
    if name == 'folder' and args.get('data_dir'):
        title = f'folder {pathlib.Path(args["data_dir"]).name}'
    if args.get('crop_box') in (True, 'true'):
        title += ', cut to boxes'
    if args.get('val_classes'):
        title += f', {args["val_classes"]:g} training classes held out'
    return title


def command(run) -> str:
    """The command line of a run without what differs between seeds; --seed=S is to be added."""
    argv = run.args.get('argv')
    words = list(map(str, argv)) if argv else str(run.result.get('command', '')).split()[2:]
    kept, skip = [], False
    for word in words:
        name, equals, _ = word.partition('=')
        drop = name.replace('-', '_') in ('__seed', '__save_dir')
        if not drop and not skip:
            kept.append(word)
        skip = drop and not equals
    history = run.args.get('history') or []
    lines = [kept + [f'--save_dir={run.folder.name}'] * bool(history)]
    for entry in history:    # the run went on with other flags
        words = [word for word in map(str, entry['argv']) if not word.startswith(('--resume', '--save_dir'))]
        lines.append([f'--resume={run.folder.name}', *words])
    return ' && '.join('python3 main.py ' + shlex.join(words) for words in lines)


class Group:
    """Runs that differ in their seed alone.

    settings : args without NOT_SETTINGS; runs : list of FinishedRun, one a seed; seeds : their seeds, ascending
    """

    def __init__(self, runs, titles):
        self.runs = sorted(runs, key=lambda run: int(run.args.get('seed', 0)))
        self.args = self.runs[0].args
        self.settings = settings(self.args)
        self.seeds = [int(run.args.get('seed', 0)) for run in self.runs]
        self.data = printable(data_title(self.args, titles))
        self.commit = ' '.join(dict.fromkeys(str(run.result.get('commit', 'unknown')) for run in self.runs))
        self.command = command(self.runs[0])

    def rules(self):
        """The keys of RULES for which every run has numbers."""
        return [rule for rule in RULES if all(metrics(run.result['selection'].get(rule)) for run in self.runs)]

    def scores(self, rule):
        """{metric: (mean, standard deviation or None)}; metrics that every run has. One run has no deviation."""
        parts = [metrics(run.result['selection'][rule]) for run in self.runs]
        names = [name for name in parts[0] if all(name in part for part in parts)]
        return {name: spread([part[name] for part in parts]) for name in names}

    def mean(self, key):
        """Mean of a number of result.json over the runs that have it, or None."""
        values = [run.result[key] for run in self.runs if is_number(run.result.get(key))]
        return statistics.fmean(values) if values else None

    def updates(self):
        """Mean number of updates of the weights, or None: batches over --caffe_iter_size."""
        batches = self.mean('iterations')
        return None if batches is None else round(batches / max(1, int(self.args.get('caffe_iter_size') or 1)))

    def baselines(self):
        """{name: {'recall@1': mean}} of what was measured before training."""
        found = {}
        for run in self.runs:
            for name, recall in (run.result.get('baselines') or {}).items():
                found.setdefault(name, []).append(metrics({'recall': recall}))
        return {name: {k: statistics.fmean(part[k] for part in parts) for k in parts[0] if all(k in p for p in parts)}
                for name, parts in found.items()}

    def trunk(self):
        """What the frozen trunk's figure depends on: groups that share it share the figure."""
        keys = ('data_name', 'data_dir', 'backbone', 'pretrained', 'image_size', 'transform', 'crop_box', 'val_classes')
        return json.dumps([self.data] + [self.args.get(key) for key in keys], default=str)


def settings(args: dict) -> dict:
    """The flags that decide what is learnt and measured."""
    return {key: value for key, value in args.items() if key not in NOT_SETTINGS}


def spread(values: list) -> tuple:
    """(mean, sample standard deviation); no deviation of a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def group(runs: list, titles: dict) -> tuple[list, list[str]]:
    """(list of Group in the order of the runs, notes): equal settings apart from NOT_SETTINGS make a group."""
    table, notes = {}, []
    for run in runs:
        mine = table.setdefault(json.dumps(settings(run.args), sort_keys=True, default=str), {})
        seed = int(run.args.get('seed', 0))
        if seed in mine:
            notes.append(f'{run.folder} is left out: {mine[seed].folder} has the same settings and seed {seed}')
        mine.setdefault(seed, run)
    groups = [Group(list(mine.values()), titles) for mine in table.values()]
    for one in groups:
        if ' ' in one.commit:
            notes.append(f'{one.runs[0].folder}: its seeds ran at different commits ({one.commit})')
    return groups, notes


def frozen(groups: list) -> dict[int, float]:
    """{group index: Recall@1 of the frozen trunk}: measured by the group itself or by one with the same trunk."""
    known = {}
    for one in groups:
        for name, scores in one.baselines().items():
            if name.startswith('frozen') and scores:
                known.setdefault(one.trunk(), next(iter(scores.values())))
    return {i: known[one.trunk()] for i, one in enumerate(groups) if one.trunk() in known}
