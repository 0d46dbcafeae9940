"""Softmax with a ranking regularizer (ahmdtaha/softmax_triplet_loss)."""

from commands.originals.script import Flag, Script, choice, folder, gpus, same, stands
from core.errors import UserError

MODES = {mode: [f'--train_mode={mode}'] for mode in ('semi_hard', 'hard', 'cntr')}
MODES['cntr'] += ['--centers=still']      # the program compares a string with an Enum: they never move
MODES['vanilla'] = ['--train_mode=vanilla', '--sampler=random']
MODES['hard_awtl'] = 'the original names this mode and does not implement it'

# with the decay of the moving averages in their BatchNorm
NETS = {name: [f'--backbone={backbone}', f'--trunk_bn_decay={decay}'] for name, backbone, decay in (
    ('resnet50', 'resnet50_v2', 0.997), ('resnet50_v1', 'resnet50_v1', 0.997), ('densenet161', 'densenet161', 0.999),
    ('inc4', 'inceptionv4', 0.9997), ('inc3', 'inceptionv3', 0.9997), ('mobile', 'mobilenet1.0', 0.9997))}

FLAGS = [
    same('--emb_dim', to='embed_dim'), same('--batch_size'), gpus('--gpu'), folder('--checkpoint_dir'),
    choice('--db_name', values={'flowers': ['--data_name=flowers102'], 'aircrafts': ['--data_name=aircraft'],
                                'cars': ['--data_name=stanford_cars'], 'dogs': ['--data_name=dogs'],
                                'birds': ['--data_name=nabirds']}, off=['--data_name=flowers102']),
    choice('--net', values=NETS, off=NETS['resnet50']),
    choice('--train_mode', values=MODES, off=MODES['vanilla']),
    choice('--aug_style', values={'batch': ['--transform=ranking_batch'], 'img': ['--transform=ranking_img']},
           off=['--transform=ranking_batch']),
    same('--triplet_loss_lambda'), same('--caffe_iter_size'), same('--logging_threshold', default=500),
    same('--train_iters'), same('--margin'), same('--Triplet_K', to='num_instances'), same('--learning_rate', to='lr'),
    same('--end_learning_rate'), same('--frame_size', to='image_size'),
    folder('--checkpoint_suffix'),
    Flag(('--test_interval',), 'word', lambda value: ([], '')),
    stands('--tuple_loader_queue_size', note='batches are made ahead in any case'),
    stands('--checkpoint_filename', note='checkpoints are the folders last and best of the run'),
    stands('--log_filename', note='the log is log.jsonl in the run folder'),
]


def evaluations(values):
    """test_interval counts log lines, which come every logging_threshold updates."""
    given = [(name, values[name] or default) for name, default in (('--test_interval', 10),
                                                                   ('--logging_threshold', 500))]
    for name, value in given:
        if not str(value).isdigit() or int(value) < 1:
            raise UserError(f'{name}={value} is not a whole number. Legal values: from 1')
    return [f'--eval_iter_term={int(given[0][1]) * int(given[1][1])}']


WORDS = ('--loss=softmax_ranking', '--pretrained=true')
# what main.py hands to fast_fgvr_semi_train.main
MAIN = ('--data_name=aircraft', *NETS['resnet50'], '--train_mode=semi_hard', '--margin=0.2', '--lr=0.01',
        '--caffe_iter_size=1', '--summary_step=500', '--eval_iter_term=5000', '--train_iters=40000',
        '--transform=ranking_img')

SCRIPTS = {
    'fast_fgvr_semi_train': Script(FLAGS, WORDS, more=evaluations),
    'main': Script(words=(*WORDS, *MAIN)),
}
