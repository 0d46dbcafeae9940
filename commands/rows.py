"""`python3 main.py rows SET [ROW ...] [--flag=value ...]`: run published rows; scripts/SET.sh is the same.

SET is a paper or a data set. ROW is a name that --list shows, or all. Without one all rows of the set run, beginning
with the first, or only that one when a flag says otherwise than it does. Each row is prepared, trained, scored, drawn
and compared: `published | ours | difference`. Stopped anywhere, the same command goes on; finished rows are skipped.

  --list          rows with published figures, expected cost and what was measured here
  --seed=S        instead of the row's own; --seeds=N: N seeds from there on, mean and spread
  --archive=FILE  an archive of the data set that you have already
  --save_dir=DIR  instead of runs/rows
  --dry_run       print the resolved flags; of all rows: all --dry_run
  --page          write the table of docs/papers/SET.md anew
  any flag of training overrides that of the row
"""

import contextlib
import json
import os
import pathlib
import signal
import sys
from collections import namedtuple

import recipes
from commands import row_tables
from commands.children import STOPPED, call
from commands.row_tables import resolved
from commands.words import absolute, flag_of, join_values, plain, short_name, words_of
from core.errors import UserError, pick_name
from core.files import read_json, write_atomic
from datasets.benchmarks import BENCHMARKS
from engine import checkpoint
from evaluation.report import runs

ROOT = pathlib.Path(__file__).resolve().parents[1]
SETS = (*recipes.PAPERS, *recipes.DATA_SETS)
# Flags of this command; all others are passed to training.
SWITCHES = ('list', 'dry_run', 'page', 'help', 'h')
OWN = (*SWITCHES, 'seed', 'seeds', 'save_dir', 'archive')
# Flags that change where and how fast a row runs, not what it is: without a name they go to all rows of the set.
PLACES = {'data_dir', 'data_path', 'gpu_idx', 'num_workers', 'workers', 'cache', 'store_dir', 'store_shape',
          'store_size', 'test_batch_size', 'figures', 'tsne_points', 'on_bad_image', 'baselines', 'kvstore'}
Request = namedtuple('Request', 'rows named flags seeds options')
Request.__doc__ = """Rows, whether they were named, words for training, (first seed or None, how many), options."""


def run(args):
    """The command; args.words are what follows its name. Returns the exit status."""
    if not args.words or args.words[0] in ('--help', '-h'):
        print(f'{__doc__}\nSETs: {", ".join(SETS)}')
        return 0
    name = pick_name('SET', args.words[0], SETS)
    request = read(name, args.words[1:])
    os.chdir(ROOT)    # data sets and runs are the project's, wherever this is called from
    if {'help', 'h'} & set(request.options):
        print(f'{__doc__}\nROWs of {name}: {" ".join(dict.fromkeys(row.name for row in recipes.rows(name)))}')
        return 0
    if 'list' in request.options:
        print(row_tables.listing(request.rows, request.flags))
        return 0
    if 'page' in request.options:
        print(row_tables.write_page(name))
        return 0
    return dry_run(request) if 'dry_run' in request.options else run_all(name, request)


# ---- what was asked for

def read(name, words):
    """Request of a set's name and the words after it. UserError for an unknown row."""
    rows = recipes.rows(name)
    short, whole = {row.name for row in rows} | {'all'}, {f'{row.data}/{row.name}' for row in rows}
    names, flags, options = [], [], {}
    for word in absolute(join_values(words, SWITCHES, short | whole)):
        flag = flag_of(word)
        if not word.startswith('-'):
            names.append(pick_name('ROW', word, whole if '/' in word else short))
        elif flag == 'archive':
            options.setdefault(flag, []).append(word.partition('=')[2])
        elif flag == 'resume':
            raise UserError(f'{word}: rows go on by themselves. Fix: the same command without it')
        elif flag in OWN:
            options[flag] = word.partition('=')[2]
        else:
            flags.append(word)
    chosen = [row for row in rows if 'all' in names or row.name in names or f'{row.data}/{row.name}' in names]
    if not names:
        chosen = rows[:1] if settings_of(flags) else rows
    return Request(chosen, bool(names), flags, seeds(options), options)


def settings_of(flags):
    """The words that change what a row is."""
    return [word for word in flags if flag_of(word) not in PLACES]


def places_of(flags):
    """The words that change where and how fast it runs."""
    return [word for word in flags if flag_of(word) in PLACES]


def seeds(options):
    """(--seed or None for the row's own, --seeds)."""
    try:
        first, number = options.get('seed'), int(options.get('seeds', 1))
        if number < 1:
            raise ValueError
        return (int(first) if first is not None else None, number)
    except ValueError:
        given = ' '.join(f'--{key}={options[key]}' for key in ('seed', 'seeds') if key in options)
        raise UserError(f'--seed and --seeds: got {given}. Legal values: whole numbers, --seeds from 1') from None


def seeds_of(row, request):
    first, number = request.seeds
    first = resolved(row, request.flags).seed if first is None else first
    return list(range(first, first + number))


def dry_run(request):
    """Print the resolved flags: of the rows that were named, as JSON or {row: JSON}, else of the first one."""
    def flags(row):
        return dict(vars(resolved(row, request.flags)), dry_run=True, seed=seeds_of(row, request)[0])
    if request.named and len(request.rows) > 1:
        shown = {f'{row.data}/{row.name}': flags(row) for row in request.rows}
    else:
        shown = flags(request.rows[0])
        if len(request.rows) > 1:
            print(f'{len(request.rows) - 1} more rows follow; all --dry_run shows them', file=sys.stderr)
    print(json.dumps(shown, indent=1, sort_keys=True, default=str))
    return 0


# ---- running

def run_all(name, request):
    """Run the rows one after the other; a row that fails does not stop the others, an interruption does."""
    if len(request.rows) > 1:
        print(f'{len(request.rows)} rows: {" ".join(f"{row.data}/{row.name}" for row in request.rows)}\n'
              f'One of them: bash scripts/{name}.sh ROW; what they cost: bash scripts/{name}.sh --list', flush=True)
    failed, prepared = [], set()
    for row in request.rows:
        status = run_row(row, request, prepared)
        if status in STOPPED:
            print(f'stopped in {row.data}/{row.name}: the same command goes on', flush=True)
            return 130 if status in (130, -signal.SIGINT) else 143
        if status:
            failed.append(f'{row.data}/{row.name}')
    if failed:
        print('not finished: ' + ' '.join(failed), file=sys.stderr)
    return 1 if failed else 0


def run_row(row, request, prepared):
    """One row: prepare, train and score each seed, print the comparison. Returns the exit status."""
    args = resolved(row, request.flags)
    wanted = {f'--data_name={args.data_name}': args.data_dir}
    if row.evaluate:
        wanted[f'--data_name={row.evaluate["data_name"]}'] = ''
    print(f'\n{row.data}/{row.name} ({row.paper}): {row_tables.cost(args)}', flush=True)
    if args.data_name == 'folder' and not args.data_dir:    # known before anything is downloaded
        print(f'error: {row.data}/{row.name} {row.note}', file=sys.stderr)
        return 2
    for data, folder in wanted.items():
        if data.partition('=')[2] in BENCHMARKS and data not in prepared:
            archives = [f'--archive={file}' for file in request.options.get('archive', [])]
            status = call(['prepare', data, *([f'--data_dir={folder}'] if folder else []), *archives])
            if status:
                return status
            prepared.add(data)
    folders = []
    for seed in seeds_of(row, request):
        folder = folder_of(row, request, seed)
        status = train(row, request, seed, folder) or score(row, request, folder)
        if status:
            return status
        folders.append(folder)
    text = row_tables.comparison(args, row, folders)
    write_atomic(folders[0].parent / 'comparison.md', text)
    print(f'\n{row.data}/{row.name}, seed {" ".join(folder.name[4:] for folder in folders)}\n\n{text}\n'
          f'curves, panels, t-SNE: {folders[0]}/figures, {folders[0]}/evaluation\n'
          f'table: {folders[0].parent}/comparison.md', flush=True)
    return 0


def folder_of(row, request, seed):
    """runs/rows/DATA/ROW[,flag=value ...]/seedS: what was overridden is part of the name."""
    base = pathlib.Path(request.options.get('save_dir') or 'runs/rows')
    changed = [word.lstrip('-').replace('/', '_') for word in settings_of(request.flags)]
    return ROOT / base / row.data / short_name(','.join([row.name, *sorted(changed)])) / f'seed{seed}'


def train(row, request, seed, folder):
    """Train one seed unless that is done; go on where an earlier call stopped. Returns the exit status."""
    words = [*words_of(row.flags, request.flags), f'--seed={seed}']
    if (folder / 'args.json').exists():
        check_same(folder, row_tables.parse(words))
    if (folder / 'result.json').exists():
        print(f'{folder}: trained already', flush=True)
        return 0
    with contextlib.suppress(UserError):
        checkpoint.locate(str(folder))
        return call([f'--resume={folder}', *places_of(request.flags)])
    if (folder / 'args.json').exists():    # stopped before the first checkpoint: nothing is lost
        (folder / 'args.json').unlink()
    return call([*words, f'--save_dir={folder}'])


def check_same(folder, args):
    """UserError when the run in the folder was made with other settings than the row has now."""
    before = read_json(folder / 'args.json')
    now = json.loads(json.dumps(runs.settings(vars(args)), default=str))
    other = {key: (before[key], value) for key, value in now.items() if key in before and before[key] != value
             and key not in PLACES}
    if other:
        changed = ', '.join(f'--{key}={plain(old)} (now {plain(new)})' for key, (old, new) in sorted(other.items()))
        raise UserError(f'{folder} was trained with other settings than the row has now: {changed}. Fix: move that '
                        'folder away, or give another --save_dir')


def score(row, request, folder):
    """Score the last epoch (with pictures) and the best one of a run unless that is done. Returns the exit status."""
    left_out = {'baselines', 'kvstore', *(('data_dir', 'data_path') if row.evaluate else ())}
    passed = [word for word in places_of(request.flags) if flag_of(word) not in left_out] + words_of(row.evaluate)
    for which, place in (('last', 'evaluation'), ('best', 'evaluation_best')):
        if (folder / place / 'result.json').exists() or not (folder / which).exists():
            continue
        quiet = ['--figures=false'] if which == 'best' else []
        status = call(['evaluate', f'--checkpoint={folder}', f'--which={which}', f'--save_dir={folder / place}',
                       '--nmi', *passed, *quiet])
        if status:
            return status
    return 0
