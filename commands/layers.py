"""Which flags exist for what was chosen, and their defaults, in layers.

declared default < the loss's paper (recipes/) < the data set's preset < the run that is resumed or evaluated
< what the user typed
"""

import argparse

import datasets
import evaluation
import losses
import models
import recipes
import samplers
from commands import exported, train_flags
from commands.cluster import HELP as CLUSTER_HELP
from commands.parser import flags_of, known, parser_of, peek, positional
from commands.words import plain
from core.argparse_internals import actions
from core.device import numbers
from core.errors import UserError, pick_name
from core.files import check_writable
from core.flags import path, switch
from engine import checkpoint, optimizers
from serving import engines


def command_args(group):
    """Flags of the command train itself."""
    switch(group, '--dry_run', help='check the command line, print the resolved flags as JSON and stop')
    group.add_argument('--resume', default='', metavar='RUN', help='continue the run in this folder')
    switch(group, '--allow_pickle', help='resume a run of an older version, whose optimizer states are a Python '
           'pickle: it can run any code, so only for runs of your own')


def checkpoint_args(group):
    """Flags of the commands that need a trained network."""
    switch(group, '--dry_run', help='check the command line, print the resolved flags as JSON and stop')
    group.add_argument('--checkpoint', default='', metavar='RUN|FILE.onnx',
                       help='run folder, checkpoint folder, or an exported file, which needs no MXNet')
    group.add_argument('--which', choices=('best', 'last'), default='last', help='which checkpoint of the run')
    engines.add_args(group)


def embed_args(group):
    """Flags of the command embed."""
    group.add_argument('--cluster', default='', metavar='local:N|tcp://HOST:PORT', help=CLUSTER_HELP)
    group.add_argument('--shard', default='', metavar='I/N',
                       help='embed the I-th of N parts of the images alone; `join` makes one file of all')
    group.add_argument('--part', choices=('test', 'train', 'val'), default='test',
                       help='which images: of the test classes, the training classes or those held out of them')
    group.add_argument('--layer', choices=('embedding', 'pooled'), default='embedding',
                       help="what of the network: its embedding, or the trunk's pooled feature, before any head")
    group.add_argument('--output', default='', metavar='FILE',
                       help='.npz or .npy file to write; empty: RUN/embeddings.npz, with --part, --layer and '
                            '--data_name in its name where they are others')


def score_args(group):
    """Flags of the command evaluate."""
    group.add_argument('--cluster', default='', metavar='local:N|tcp://HOST:PORT', help=CLUSTER_HELP)
    group.add_argument('--embeddings', default='', metavar='FILE.npz',
                       help='score these instead of a run (arrays embeddings, labels and, if there is, query)')


def training_parser(argv, base, description=''):
    """Parser of train for the loss, sampler and data set that argv chooses.

    base : dict of flags of the run that is continued or evaluated, {} for a new one
    """
    loss = pick_name('--loss', peek(argv, 'loss', default=base.get('loss', 'hphn_triplet')), losses.LOSSES)
    criterion = losses.LOSSES[loss]
    sampler_name = pick_name('--sampler', peek(argv, 'sampler', default=base.get('sampler', criterion.sampler)),
                             samplers.SAMPLERS)
    sampler = samplers.SAMPLERS[sampler_name]
    data_name = peek(argv, *datasets.NAME_FLAGS, default=base.get('data_name') or datasets.default_name(argv))
    parser = parser_of('train', description)
    command_args(parser.add_argument_group('command'))
    for title, declare in (('losses', losses.add_args), ('losses: ' + criterion.__name__, criterion.add_args),
                           ('samplers', samplers.add_args), ('samplers: ' + sampler.__name__, sampler.add_args),
                           ('datasets', datasets.add_args), ('models', models.add_args),
                           ('engine: training', train_flags.add_args), ('engine: device', train_flags.add_device_args),
                           ('engine: output', train_flags.add_output_args), ('evaluation', evaluation.add_args)):
        declare(parser.add_argument_group(title))
    defaults = recipes.defaults(loss)
    parser.set_defaults(**known(parser, dict({'pretrained': weights_wanted(argv, data_name, defaults)}, **defaults)))
    parser.set_defaults(**known(parser, datasets.preset(data_name, loss)))
    parser.set_defaults(**known(parser, typed(parser, base)))
    parser.set_defaults(loss=loss, sampler=sampler_name, data_name=data_name)
    return parser


def checkpoint_parser(argv, base, command, description=''):
    """Parser of evaluate and embed: what the network is, and how it was trained, is the run's and no flag."""
    parser = parser_of(command, description)
    commands = parser.add_argument_group('command')
    checkpoint_args(commands)
    if command == 'embed':
        embed_args(commands)
        groups = (('datasets', datasets.add_args), ('engine: device', train_flags.add_device_args))
    else:
        score_args(commands)
        groups = (('datasets', datasets.add_args), ('engine: device', train_flags.add_device_args),
                  ('engine: output', train_flags.add_output_args), ('evaluation', evaluation.add_args))
    for title, declare in groups:
        declare(parser.add_argument_group(title))
    parser.set_defaults(**vars(training_parser(argv, base).parse_args([])))
    if peek(argv, 'embeddings'):    # figures beside a file of embeddings are for the asking
        parser.set_defaults(figures=False)
    return parser


def weights_wanted(argv, data_name, defaults):
    """Whether a run starts from ImageNet weights unless the user says otherwise: on benchmarks, as in the papers."""
    backbone = peek(argv, *models.NAME_FLAGS, default=defaults.get('backbone', 'googlenet'))
    return bool(datasets.benchmarks.find(data_name)) and has_weights(backbone)


def has_weights(backbone):
    """Whether there are ImageNet weights for a backbone, as far as its name tells."""
    own = models.registry.OWN.get(models.registry.canonical(backbone))
    return own is None or own.weights is not None


def notes(args):
    """Sentences on a new run that its user may not have meant."""
    if args.data_name == 'folder' and args.pretrained in (False, 'false') and has_weights(args.backbone):
        return [f'{args.backbone} starts from random weights. --pretrained=true gives it those of ImageNet, from which '
                'photos are learned far better']
    return []


def parse(command, argv, description=''):
    """The flags of train, evaluate or embed."""
    if command != 'train':
        argv = positional(argv, '--checkpoint')
    base, source = {}, path(peek(argv, 'resume' if command == 'train' else 'checkpoint'))
    if source:
        left_out = {'resume', 'dry_run', 'checkpoint', 'which', 'output', 'argv', 'allow_pickle'}
        if command != 'train':
            left_out |= {'save_dir', 'figures'}
        base = flags_behind(source, argv)
        here, there = (datasets.resolve(name) for name in (
            peek(argv, *datasets.NAME_FLAGS, default=base['data_name']), base['data_name']))
        if here != there:
            left_out |= {'data_dir', 'split', 'val_classes', 'fold', 'store_dir'}  # of its data set
        base = {key: value for key, value in base.items() if key not in left_out}
    parser = (training_parser(argv, base, description) if command == 'train' else
              checkpoint_parser(argv, base, command, description))
    args = parser.strict(argv)
    check(args, base, source, command)
    return args


def typed(parser, base):
    """The flags of a run as their types have them. UserError for a value that its flag does not take: the file that
    they come from is damaged, or was written by somebody else."""
    values = {}
    for action in actions(parser):
        value = base.get(action.dest)
        if action.dest not in base or value == action.default or (value is None and action.default is None):
            continue
        try:
            if isinstance(value, dict) or (isinstance(value, (int, float)) and action.type is None):
                raise TypeError
            value = action.type(getattr(action.type, 'text', plain)(value)) if action.type else value
            if action.choices and value not in action.choices:
                raise ValueError
        except (argparse.ArgumentTypeError, IndexError, TypeError, ValueError):
            raise UserError(f'the run says --{action.dest}={plain(value)}, which that flag does not take: its '
                            'args.json is damaged. Fix: copy it again from where it was written') from None
        values[action.dest] = value
    return {**base, **values}


def flags_behind(source, argv):
    """The flags that a checkpoint or an exported file was trained with."""
    if exported.is_file(source):
        return exported.flags_of(source)
    return checkpoint.read_args(checkpoint.locate(source, peek(argv, 'which', default='last')))


def check(args, base, source, command):
    """Refuse combinations that make no sense, with the reason."""
    criterion = losses.get_loss(args.loss)
    args.loss = pick_name('--loss', args.loss, losses.LOSSES)
    args.sampler = pick_name('--sampler', args.sampler, samplers.SAMPLERS)
    args.data_name = datasets.resolve(args.data_name)
    args.transform = pick_name('--transform', args.transform, datasets.transforms.TRANSFORMS)
    models.registry.resolve(args.backbone)
    optimizers.settings(args.optim)
    if command == 'train' and args.save_dir:
        check_writable(path(args.save_dir), '--save_dir', folder=True)
    if len(set(args.recallk)) != len(args.recallk) or min(args.recallk, default=0) < 1:
        raise UserError(f'--recallk={",".join(map(str, args.recallk))}: each K is a whole number from 1, once. Fix: '
                        '--recallk=1,2,4,8')
    if command == 'train' and not args.data_dir and datasets.benchmarks.find(args.data_name):
        args.data_dir = path(str(datasets.benchmarks.root_of(datasets.benchmarks.BENCHMARKS[args.data_name])))
    if args.sampler not in criterion.samplers:
        raise UserError(f'--sampler={args.sampler} does not fit --loss={args.loss}: {criterion.sampler_reason} Legal '
                        f'samplers: {", ".join(criterion.samplers)}')
    if command == 'train':
        samplers.check_negatives(args, criterion.needs_negatives(args))
        criterion.check_args(args)
    if command == 'train' and args.kvstore == 'none' and len(numbers(args.gpu_idx)) > 1:
        raise UserError(f'--kvstore=none sums no gradients: the devices of --gpu_idx={args.gpu_idx} would each train a '
                        'network of their own. Fix: --kvstore=device, or one device')
    if command == 'train' and args.dtype != 'float32' and (args.freeze_trunk or args.freeze_blocks):
        raise UserError(f'--dtype={args.dtype} is for a trunk that is trained as a whole. Fix: --dtype=float32 beside '
                        '--freeze_trunk and --freeze_blocks')
    if command == 'train' and source:
        args.save_dir = str(checkpoint.run_of(source))
        check_writable(args.save_dir, '--resume, such as a copy of the run', folder=True)
        first = (base.get('recallk') or args.recallk)[0]
        if args.recallk[:1] != [first]:
            raise UserError(f'--recallk={plain(args.recallk)} begins with another K than the run that is resumed, '
                            f'whose Recall@{first} chooses its best epoch. Fix: --recallk={first},...')
        for key in ('loss', 'sampler', 'data_name', 'backbone', 'embed_dim', 'seed'):
            before = datasets.resolve(base[key]) if key == 'data_name' else base.get(key)
            if before is not None and getattr(args, key, None) != before:
                raise UserError(f'--{key}={getattr(args, key)} differs from the run that is resumed ({base[key]}). '
                                'Fix: leave it out, or start a new run with another --save_dir')


def own_flags():
    """Every option string of train, evaluate and embed, of any loss and sampler."""
    declare = [losses.add_args, samplers.add_args, datasets.add_args, models.add_args, evaluation.add_args,
               train_flags.add_args, train_flags.add_device_args, train_flags.add_output_args, command_args,
               checkpoint_args, embed_args, score_args]
    declare += [kind.add_args for kind in (*losses.LOSSES.values(), *samplers.SAMPLERS.values())]
    return set().union(*map(flags_of, declare))
