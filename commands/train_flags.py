"""The flags of the training loop, of the device and of what is written."""

from core.flags import bounded, ints, switch
from engine import loss_scale
from engine.optimizers import OPTIMIZERS
from engine.schedule import SCHEDULES


def add_args(group):
    """Flags of the training loop. Their names and effective defaults are those of Embedding Expansion."""
    group.add_argument('--epochs', '--nb_epoch', '--max_epoch', type=bounded(int, 1), default=5000,
                       help='number of epochs (what an epoch is depends on the sampler)')
    group.add_argument('--start_epoch', type=bounded(int, 0), default=0,
                       help='number of the first epoch; shifts counters and schedules. --epochs is where training ends')
    group.add_argument('--optim', '--optimizer', default='adam', metavar='NAME', help='how weights move: '
                       + ', '.join(OPTIMIZERS) + '; tf* and torch* as these frameworks define them')
    group.add_argument('--lr', '--learning_rate', type=bounded(float, 0), default=1e-4, help='learning rate')
    group.add_argument('--momentum', type=bounded(float, 0, 1), default=0.9, help='of sgd, nag and tfmomentum')
    group.add_argument('--epsilon', type=bounded(float, 0), default=None,
                       help="added to the denominator of adam, rmsprop and their like; default: the original's of "
                                                                          'the loss')
    group.add_argument('--wd', type=bounded(float, 0), default=5e-4, help='weight decay. The gradient of some losses '
                       'is a sum over the batch: then the same --wd weighs less than with a mean')
    group.add_argument('--lr_schedule', choices=tuple(SCHEDULES), default='multifactor_iteration',
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
    group.add_argument('--grad_chunk', type=bounded(int, 0), default=0, metavar='N',
                       help='run the network on N images of the batch at a time, for a batch that does not fit the '
                            'device; the loss still sees the whole batch. Costs a second forward pass; 0: at once')
    group.add_argument('--dtype', choices=('float32', 'float16'), default='float32',
                       help='what the trunk computes in while it trains. float16 is for GPUs with tensor cores; head, '
                            'loss, statistics, all weights and the evaluation stay float32')
    group.add_argument('--loss_scale', type=loss_scale.kind, default=None, metavar='dynamic|X',
                       help='factor on the loss before the backward pass, which the update divides by again; a step '
                            'whose gradient overflows is left out. dynamic: halved then, doubled after 2000 steps '
                            'without. Default: dynamic with --dtype=float16, else none')
    group.add_argument('--grad_clip', type=bounded(float, 0), default=0.0, help='clip gradients to +-value; 0: never')
    group.add_argument('--kvstore', default='device', choices=('device', 'local', 'none', 'dist_sync'),
                       help='how gradients of several devices are summed')
    switch(group, '--prepare', default=False,
           help='download and verify the benchmark first if it is not there')
    group.add_argument('--archive', action='append', default=None, metavar='FILE',
                       help='an archive or list of the benchmark that you have already, for --prepare (implied); may '
                            'be given several times')
    switch(group, '--baselines', default=False,
           help='also score raw pixels, the untrained network and its pooled features before training')
    group.add_argument('--eval_epoch_term', type=bounded(int, 1), default=1, help='evaluate every this many epochs')
    group.add_argument('--eval_iter_term', type=bounded(int, 0), default=0, metavar='N',
                       help='evaluate every this many iterations instead, also in the middle of epochs; 0: by epochs')
    group.add_argument('--summary_step', '--log_interval', '--logging_threshold', type=bounded(int, 1), default=10,
                       help='iterations between two points of the loss and learning-rate curves')
    group.add_argument('--save_epoch_term', type=bounded(int, 1), default=1,
                       help='epochs between two checkpoints; the last epoch and an interruption are always saved')
    switch(group, '--train_stats', default=True,
           help='log the statistics of the training embeddings, for losses whose original logs them; '
                'costs a pass over the training set at each evaluation')
    switch(group, '--draw', default=True, help='with --embed_dim 2 or 3: draw the distribution map')
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
    switch(group, '--figures', default=True, help='draw curves, retrieval panels and t-SNE at the end')
    group.add_argument('--tsne_points', type=bounded(int, 10), default=10000, help='images on the t-SNE map')
