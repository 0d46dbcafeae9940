"""`python3 main.py compare --losses=A,B,C [--data_dir=FOLDER] [--flag=value ...]`: a fair comparison on your own data.

After Musgrave, Belongie and Lim, "A Metric Learning Reality Check", ECCV 2020: every loss gets the same trunk, size,
pictures, optimizer and number of updates. The training classes are cut into folds; each training leaves one fold out.
The test classes are scored once, at the end, with the last weights of every fold: `separated` is the mean over the
folds' networks, `concatenated` their embeddings side by side, all of length one, `pooled` the mean over what the trunks
end in, before the head, where they are trained. Over several runs (seeds) means come
with 95 % intervals and differences to the best loss are paired, run by run. Stopped anywhere, the same command goes on.
Of settings that were not chosen the results and logs stay, the weights go.

  --losses=A,B        losses; A+flag=value is the loss A with a setting of its own
  --updates=N         updates of every training (1000)
  --folds=N           folds of the training classes (4)
  --runs=N            runs with seeds from --seed on (1)
  --grid=FLAG=V1,V2   settings to choose from for every loss, by MAP@R on the folds left out; may be repeated
  --points=N          evaluations in each training, for curves of the classes left out (1: at its end)
  --save_dir=DIR      instead of runs/compare
  --dry_run           print the plan
  any other flag of training holds for all losses; without one: a head of 512
  numbers on the frozen EfficientNet-Lite0 at 224 px, batches of 64 (4 a class), adam, lr 1e-4, wd 1e-5, a constant rate
  (recipes/photos.py; built-in letters: their own settings). --freeze_trunk=false trains the trunk too
"""

import itertools
import os
import shutil
from collections import namedtuple

import numpy as np

import losses
import samplers
from commands import children, layers
from commands.parser import Parser, flags_of
from commands.words import absolute, flag_of, join_values, short_name, words_of
from core.errors import UserError, pick_name
from core.files import check_writable, read_json, write_atomic, write_json
from core.flags import bounded, path
from core.text import count
from recipes import photos

# The same for every loss: the settings of `photos` without what is a loss's own or a matter of length. A loss's own
# flags (margins, scales) are its paper's.
OWN_PHOTOS = ('loss', 'data_name', 'num_instances', 'epochs', 'eval_epoch_term', 'baselines')
COMMON = {**{flag: value for flag, value in photos.SETTINGS.items() if flag not in OWN_PHOTOS},
          'bias_lr_mult': 1, 'bias_wd_mult': 1}
INSTANCES = 4     # images of each class in a batch, for the losses whose batches have a number of them
LETTERS = {'lr': 1e-3, 'wd': 1e-4, 'lr_schedule': 'constant', 'metric': 'cosine'}
# One evaluation, after the last update; nothing is drawn.
QUIET = {'epochs': 10 ** 6, 'early_stopping': 0, 'eval_epoch_term': 10 ** 6, 'save_epoch_term': 10 ** 6,
         'figures': False, 'draw': False, 'train_stats': False}
OWN = ('losses', 'updates', 'folds', 'runs', 'grid', 'save_dir', 'dry_run', 'seed', 'fold', 'train_iters', 'loss',
       'points', 'eval_iter_term')

Plan = namedtuple('Plan', 'losses updates folds seeds grid folder words points', defaults=(1,))
Plan.__doc__ = """losses: names, with settings of their own after `+`; grid: list of lists of words; words: of all;
points: evaluations in each training."""


class Stopped(Exception):
    """A training did not come to its end; `status` is its exit status."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


def read(words):
    """The Plan of the words after `compare`. UserError for what cannot be trained."""
    parser = Parser(prog='main.py compare', add_help=False)
    parser.add_argument('--losses', required=True, help='two or more, such as --losses=margin,npair')
    parser.add_argument('--updates', type=bounded(int, 1), default=1000)
    parser.add_argument('--folds', type=bounded(int, 2), default=4)
    parser.add_argument('--runs', type=bounded(int, 1), default=1)
    parser.add_argument('--seed', type=bounded(int, 0), default=0)
    parser.add_argument('--grid', action='append', default=[])
    parser.add_argument('--points', type=bounded(int, 1), default=1)
    parser.add_argument('--save_dir', type=path, default='')
    args, rest = parser.parse_known_args(join_values(words, ('dry_run',)))
    rest = [word for word in absolute(rest) if word != '--dry_run']
    for word in rest:
        if flag_of(word) in OWN:
            raise UserError(f'{word}: compare sets this flag itself. Fix: leave it out')
    names = [name for name in args.losses.split(',') if name]
    for name in names:
        pick_name('--losses', name.partition('+')[0], losses.LOSSES)
    if len(set(names)) < max(2, len(names)):
        raise UserError(f'--losses={args.losses}: a comparison needs two or more different losses. Fix: '
                        '--losses=margin,npair')
    if not any(flag_of(word) in ('data_name', 'data_dir', 'data', 'dataset', 'data_path', 'db_name') for word in rest):
        rest = ['--data_name=glyphs', *rest]
    letters = layers.parse('train', [word for word in rest if flag_of(word).startswith('data')]).data_name == 'glyphs'
    plan = Plan(names, args.updates, args.folds, list(range(args.seed, args.seed + args.runs)), grid(args.grid),
                args.save_dir or path('runs/compare'), words_of(LETTERS if letters else COMMON, rest), args.points)
    for loss, chosen in itertools.product(plan.losses, plan.grid):
        try:
            layers.parse('train', training(plan, loss, chosen, plan.seeds[0], 1))
        except UserError as error:
            raise UserError(f'{origin(loss, chosen, str(error))}{error}') from error
    return plan


def origin(loss, chosen, said):
    """The flag of compare that a refused flag of training came from, to begin its message with; '' for another.

    >>> origin('margin+beta=-1', [], '--beta=-1: out of range')
    '--losses=margin+beta=-1: '
    """
    own = {flag_of(word): f'--losses={loss}: ' for word in loss.split('+')[1:]}
    own.update({flag_of(word): f'--grid={word.lstrip("-")}: ' for word in chosen})
    return own.get(flag_of(said.split()[0]), '') if said.startswith('--') else ''


def grid(texts):
    """['lr=1,2', 'wd=0,1'] -> [['--lr=1', '--wd=0'], ['--lr=1', '--wd=1'], ...]; [[]] without any.

    >>> grid(['lr=1,2'])
    [['--lr=1'], ['--lr=2']]
    """
    choices = {}
    for text in texts:
        flag, equals, values = text.partition('=')
        flag, values = flag.lstrip('-'), values.split(',')
        if not equals or values == ['']:
            raise UserError(f'--grid={text} is not a flag with values. Fix: --grid=lr=1e-4,1e-3')
        if len(set(values)) < len(values):
            raise UserError(f'--grid={text} names a value twice. Fix: each once')
        if flag in choices:
            raise UserError(f'--grid={text}: {flag} has its values already. Fix: one --grid with all of them')
        choices[flag] = [f'--{flag}={value}' for value in values]
    return [list(words) for words in itertools.product(*choices.values())]


def training(plan, loss, chosen, seed, fold):
    """The words of one training."""
    name, *own = loss.split('+')
    instances = '--num_instances' in flags_of(samplers.get_sampler(losses.get_loss(name).sampler).add_args)
    return [f'--loss={name}', *words_of(QUIET), *([f'--num_instances={INSTANCES}'] if instances else []), *plan.words,
            *chosen, *(f'--{word}' for word in own), f'--seed={seed}',
            f'--train_iters={plan.updates}', f'--eval_iter_term={-(-plan.updates // plan.points)}',
            f'--fold={fold}/{plan.folds}',
            f'--save_dir={folder_of(plan, loss, chosen, seed, fold)}']


def folder_of(plan, loss, chosen, seed, fold):
    """SAVE_DIR/LOSS/SETTINGS/seedS-foldI."""
    settings = ','.join(word.lstrip('-').replace('/', '_') for word in chosen) or 'settings'
    return os.path.join(plan.folder, short_name(loss.replace('/', '_')), short_name(settings), f'seed{seed}-fold{fold}')


def run(args):
    """The command; args.words are what follows its name. Returns the exit status."""
    if not args.words or {'--help', '-h'} & set(args.words):
        print(__doc__)
        return 0
    plan = read(args.words)
    trainings = len(plan.losses) * plan.folds * (len(plan.seeds) + len(plan.grid) - 1)
    print(f'{count(len(plan.losses), "loss", "losses")}, {count(plan.folds, "fold")}, {count(len(plan.seeds), "run")}, '
          f'{count(len(plan.grid), "setting")}: {count(trainings, "training")} of '
          f'{count(plan.updates, "update")} -> {plan.folder}', flush=True)
    check(plan)
    if '--dry_run' in args.words:
        for loss in plan.losses:
            print('python3 main.py ' + ' '.join(training(plan, loss, plan.grid[0], plan.seeds[0], 1)))
        return 0
    check_writable(plan.folder, '--save_dir', folder=True)
    try:
        results = [compare_one(plan, loss) for loss in plan.losses]
    except Stopped as stop:
        print('stopped: the same command goes on', flush=True)
        return stop.status
    results.sort(key=lambda one: -np.mean(one['concatenated']['map_at_r']))
    text = table(plan, results)
    write_json(os.path.join(plan.folder, 'compare.json'), {'plan': plan._asdict(), 'results': results})
    write_atomic(os.path.join(plan.folder, 'compare.md'), text)
    print(f'\n{text}\n-> {plan.folder}/compare.md')
    return 0


def check(plan):
    """UserError for a training that could not start: before the first one has taken its hours."""
    from commands import dry_run
    for loss in plan.losses:
        args = layers.parse('train', training(plan, loss, plan.grid[0], plan.seeds[0], 1))
        args.save_dir = ''      # what is there goes on
        dry_run.training(args)


def compare_one(plan, loss):
    """Choose the settings of one loss, train it with every seed and score the test classes."""
    from engine import checkpoint
    tried = [(np.mean([left_out(plan, loss, chosen, plan.seeds[0], fold) for fold in folds(plan)]), chosen)
             for chosen in plan.grid]
    score, chosen = max(tried, key=lambda pair: pair[0])
    for other, fold in itertools.product((words for words in plan.grid if words != chosen), folds(plan)):
        checkpoint.drop(folder_of(plan, loss, other, plan.seeds[0], fold))
    found = {'loss': loss, 'settings': chosen, 'folds_map_at_r': float(score)}
    for seed in plan.seeds:
        for fold in folds(plan):
            left_out(plan, loss, chosen, seed, fold)
        for way, scores in test_scores(plan, loss, chosen, seed).items():
            for key in scores:
                found.setdefault(way, {}).setdefault(key, []).append(scores[key])
    return found


def folds(plan):
    """Numbers of the folds."""
    return range(1, plan.folds + 1)


def left_out(plan, loss, chosen, seed, fold):
    """MAP@R of one training on the fold that it did not see; trained unless that is done."""
    folder = folder_of(plan, loss, chosen, seed, fold)
    words = training(plan, loss, chosen, seed, fold)
    finished = os.path.join(folder, 'result.json')
    if not os.path.exists(finished):
        must(children.here(children.onward(words, folder)))
    result = read_json(finished)
    try:
        before = [word for word in result['args'].get('argv') or words if flag_of(word) == 'train_iters']
        if result['iterations'] != plan.updates:
            raise UserError(f'{folder} was trained with {before or result["iterations"]}. Fix: another --save_dir')
        return result['selection']['last']['map_at_r']
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{finished} is damaged: it lacks {error}. Fix: remove {folder}') from error


def must(status):
    """Go on only after success."""
    if status:
        raise Stopped(status)


def trunk_is_trained(plan, loss):
    """Whether a loss's trainings change the trunk, so that its pooled feature says something of the loss."""
    return not layers.parse('train', training(plan, loss, plan.grid[0], plan.seeds[0], 1)).freeze_trunk


def test_scores(plan, loss, chosen, seed):
    """{way: {'R@1', 'map_at_r'}} of the test classes for the networks of one seed; ways: separated, concatenated and,
    where the trunk is trained, pooled.
    """
    single, parts, loaded = [], [], None
    for fold in folds(plan):
        loaded = embedded(plan, loss, chosen, seed, fold, 'test.npz')
        parts.append(unit(loaded))
        single.append(scores_of(parts[-1], loaded))
    found = {'separated': mean_of(single), 'concatenated': scores_of(np.concatenate(parts, axis=1), loaded)}
    if trunk_is_trained(plan, loss):
        pooled = [embedded(plan, loss, chosen, seed, fold, 'pooled.npz', ['--layer=pooled']) for fold in folds(plan)]
        found['pooled'] = mean_of([scores_of(unit(one), one) for one in pooled])
    return found


def embedded(plan, loss, chosen, seed, fold, name, words=()):
    """Embeddings of the test classes by one training, from its file `name`; made unless they are there."""
    from engine import checkpoint
    from evaluation.embeddings import load_embeddings
    folder = folder_of(plan, loss, chosen, seed, fold)
    file = os.path.join(folder, name)
    if not os.path.exists(file):
        if not os.path.exists(os.path.join(folder, checkpoint.STORE)):      # a damaged one is for `embed` to refuse
            print(f'the weights in {folder} are gone, as of settings that were not chosen: training again', flush=True)
            shutil.rmtree(folder)
            left_out(plan, loss, chosen, seed, fold)
        must(children.here(['embed', f'--checkpoint={folder}', '--fold=', f'--output={file}', *words]))
    return load_embeddings(file)


def unit(loaded):
    """Embeddings of a file, of length one."""
    from core.normalize import unit_rows
    return unit_rows(loaded.embeddings)


def scores_of(embeddings, loaded):
    """Two figures of embeddings, with labels and queries of a file."""
    from evaluation.protocols import retrieval
    result = retrieval(embeddings, loaded.labels, [1], loaded.query)
    return {'R@1': result['recall']['1'], 'map_at_r': result['map_at_r']}


def mean_of(scores):
    """Means over the folds' networks."""
    return {key: float(np.mean([one[key] for one in scores])) for key in scores[0]}


def table(plan, results):
    """The comparison as Markdown, best loss first."""
    from evaluation.intervals import mean_interval, paired_difference

    def cell(values):
        one = mean_interval(100 * np.asarray(values))
        return f'{one.mean:.2f}' + (f' ± {one.high - one.mean:.2f}' if one.n > 1 else '')
    ways = [way for way in ('separated', 'concatenated', 'pooled') if any(way in one for one in results)]
    heads = ['loss', 'settings', *(f'{key} {way}' for way in ways for key in ('R@1', 'MAP@R')), 'MAP@R less the best']
    lines = ['| ' + ' | '.join(heads) + ' |', '|' + len(heads) * '---|']
    for one in results:
        less = '' if one is results[0] else paired_difference(
            100 * np.asarray(one['concatenated']['map_at_r']), 100 * np.asarray(results[0]['concatenated']['map_at_r']))
        if less:
            less = f'{less.mean:.2f}' + (f' ({less.low:.2f} to {less.high:.2f})' if less.n > 1 else '')
        cells = [one['loss'], ' '.join(one['settings']),
                 *(cell(one[way][key]) if way in one else '' for way in ways for key in ('R@1', 'map_at_r')), less]
        lines.append('| ' + ' | '.join(cells) + ' |')
    head = (f'{count(plan.updates, "update")} for every loss, {count(plan.folds, "fold")} of the training classes, '
            f'{count(len(plan.seeds), "run")}; percent of the test classes')
    tail = ('± is the 95 % interval over runs; differences are paired by run.' if len(plan.seeds) > 1 else
            'One run has no interval: --runs=5 tells chance from difference.')
    return f'{head}\n\n' + '\n'.join(lines) + f'\n\n{tail}\n'
