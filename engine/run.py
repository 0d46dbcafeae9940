"""The folder of a run: what was asked for, what happened, what came out."""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

import tensorboardX

from core.errors import UserError
from core.flags import boolean, bounded, ints
from engine.schedule import SCHEDULES

ROOT = pathlib.Path(__file__).resolve().parents[1]


def add_args(group):
    """Flags of the training loop. Their names and effective defaults are those of Embedding Expansion."""
    group.add_argument('--epochs', '--nb_epoch', '--max_epoch', type=bounded(int, 1), default=5000,
                       help='number of epochs (what an epoch is depends on the sampler)')
    group.add_argument('--start_epoch', type=bounded(int, 0), default=0,
                       help='number of the first epoch; shifts counters and schedules')
    group.add_argument('--optim', '--optimizer', default='adam', help='adam, sgd, rmsprop, nag, ...')
    group.add_argument('--lr', '--learning_rate', type=bounded(float, 0), default=1e-4, help='learning rate')
    group.add_argument('--momentum', type=bounded(float, 0, 1), default=0.9, help='of sgd and nag')
    group.add_argument('--epsilon', type=bounded(float, 0), default=None,
                       help="added to the denominator of adam and rmsprop; default: the original's of the loss")
    group.add_argument('--wd', type=bounded(float, 0), default=5e-4, help='weight decay. The gradient of some losses '
                       'is a sum over the batch: then the same --wd weighs less than with a mean')
    group.add_argument('--lr_schedule', choices=SCHEDULES, default='multifactor_iteration',
                       help='how the learning rate falls (each paper sets its own)')
    group.add_argument('--lr_decay_epochs', '--steps', type=ints, default=[10, 20, 40, 80],
                       help='epochs at which multifactor schedules apply --lr_decay_factor')
    group.add_argument('--lr_decay_factor', '--factor', type=bounded(float, 0), default=0.5,
                       help='factor of the multifactor and plateau schedules')
    group.add_argument('--end_learning_rate', type=bounded(float, 0), default=0.0, help='end of the poly schedule')
    group.add_argument('--train_iters', type=bounded(int, 0), default=0,
                       help='stop after this many iterations (0: by --epochs); also the length of the poly schedule')
    group.add_argument('--patience', type=bounded(int, 0), default=5, help='epochs of the plateau schedule')
    group.add_argument('--early_stopping', type=bounded(int, 0), default=0,
                       help='stop when the epoch loss has not improved for this many epochs; 0: never')
    group.add_argument('--caffe_iter_size', type=bounded(int, 1), default=1,
                       help='mini-batches whose gradients are averaged before one update')
    group.add_argument('--grad_clip', type=bounded(float, 0), default=0.0, help='clip gradients to +-value; 0: never')
    group.add_argument('--kvstore', default='device', choices=('device', 'local', 'none'),
                       help='how gradients of several devices are summed')
    group.add_argument('--prepare', type=boolean, nargs='?', const=True, default=False,
                       help='download and verify the benchmark first if it is not there')
    group.add_argument('--baselines', type=boolean, nargs='?', const=True, default=False,
                       help='also score raw pixels, the untrained network and its pooled features before training')
    group.add_argument('--eval_epoch_term', type=bounded(int, 1), default=1, help='evaluate every this many epochs')
    group.add_argument('--summary_step', '--log_interval', '--logging_threshold', type=bounded(int, 1), default=10,
                       help='iterations between two points of the loss and learning-rate curves')
    group.add_argument('--save_epoch_term', type=bounded(int, 1), default=1,
                       help='epochs between two checkpoints; the last epoch and an interruption are always saved')
    group.add_argument('--train_stats', type=boolean, nargs='?', const=True, default=True,
                       help='log the statistics of the training embeddings, for losses whose original logs them; '
                       'costs a pass over the training set at each evaluation')
    group.add_argument('--draw', type=boolean, nargs='?', const=True, default=True,
                       help='with --embed_dim 2 or 3: draw the distribution map')
    group.add_argument('--display_step', type=bounded(int, 1), default=10,
                       help='epochs between two distribution maps')
    return group


def add_device_args(group):
    """Flags of whatever runs the network."""
    group.add_argument('--gpu_idx', default='', help='GPU number(s), such as 0 or 0,1; empty: a GPU when there is one, '
                       'else the CPU; cpu: the CPU')
    group.add_argument('--test_batch_size', type=bounded(int, 1), default=100, help='images in a batch of evaluation')
    group.add_argument('--seed', type=bounded(int, 0, 2 ** 31 - 1), default=0,
                       help='of weights, batches, augmentation, k-means and figures')


def add_output_args(group):
    """Flags of what is written."""
    group.add_argument('--save_dir', default='', help='folder to write; empty: runs/DATA-LOSS-TIME for a training run, '
                       'RUN/evaluation or FILE_evaluation for what evaluate scores')
    group.add_argument('--figures', type=boolean, nargs='?', const=True, default=True,
                       help='draw curves, retrieval panels and t-SNE at the end')
    group.add_argument('--tsne_points', type=bounded(int, 10), default=10000, help='images on the t-SNE map')


def commit():
    """Commit of the code, with '-dirty' when files differ from it; 'unknown' outside a git checkout."""
    try:
        head = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=ROOT, capture_output=True, text=True,
                              check=True).stdout.strip()
        dirty = subprocess.run(['git', 'status', '--porcelain', '--untracked-files=no'], cwd=ROOT, capture_output=True,
                               text=True, check=True).stdout.strip()
        return head + ('-dirty' if dirty else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def environment(mx):
    """Versions and machine facts that a number depends on."""
    import numpy
    return {'python': platform.python_version(), 'mxnet': mx.__version__, 'numpy': numpy.__version__,
            'platform': platform.platform(), 'processor': platform.machine(),
            'processors': len(os.sched_getaffinity(0)), 'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '')}


class Run:
    """A run folder.

    Parameters
    ----------
    args : parsed flags; --save_dir says where, empty means runs/DATA-LOSS-TIME
    resume : True when the folder is continued and must exist already
    """

    def __init__(self, args, resume=False):
        name = f'{args.data_name}-{args.loss}-{datetime.datetime.now():%Y%m%d-%H%M%S}'
        self.folder = pathlib.Path(args.save_dir or pathlib.Path('runs', name))
        if not resume and (self.folder / 'args.json').exists():
            raise UserError(f'--save_dir={self.folder} already holds a run. Fix: --resume={self.folder} goes on with '
                            'it, '
                            'another --save_dir starts a new one')
        try:
            (self.folder / 'figures').mkdir(parents=True, exist_ok=True)
            if not resume:
                self.write_json('args.json', dict(vars(args), argv=sys.argv[1:]))
        except OSError as error:
            raise UserError(f'--save_dir={self.folder}: cannot write there ({error.strerror})') from error
        self.board = tensorboardX.SummaryWriter(str(self.folder / 'tensorboard'), flush_secs=10)

    def write_json(self, name, value):
        """Write a JSON file aside and rename it."""
        aside = self.folder / (name + '.new')
        aside.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + '\n')
        aside.replace(self.folder / name)

    def log(self, kind, **values):
        """Append one line to log.jsonl."""
        with open(self.folder / 'log.jsonl', 'a') as file:
            file.write(json.dumps(dict(kind=kind, **values)) + '\n')

    def rewind(self, iteration):
        """Drop log lines after `iteration` steps: training goes on from a checkpoint older than the log's end."""
        path = self.folder / 'log.jsonl'
        if not path.exists():
            return
        kept = [line for line in path.read_text().splitlines() if line and json.loads(line).get('step', 0) <= iteration]
        aside = self.folder / 'log.jsonl.new'
        aside.write_text(''.join(line + '\n' for line in kept))
        aside.replace(path)

    def close(self):
        """Flush TensorBoard."""
        self.board.close()


def read_log(folder):
    """List of dicts of log.jsonl (empty when there is none)."""
    path = pathlib.Path(folder) / 'log.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []

