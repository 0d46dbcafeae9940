"""Heated-Up Softmax (ColumbiaDVMM): retrieval with Inception, maps of MNIST, their launchers and converters."""

import os

from commands.originals.script import Script, choice, folder, gpus, same, stands, switch, weights

SAME_SWITCHES = ('l2_norm', 'norm_weights', 'bn', 'learn_norm')
RUN = 'checkpoints and curves are in one run folder, --save_dir'
LOSS = [*(switch('--' + name, on=[f'--{name}']) for name in SAME_SWITCHES),
        switch('--normed_test', note='retrieval is scored on normalised embeddings in any case (--metric=cosine)'),
        switch('--label_smoothing', on=['--label_smoothing=0.1']), switch('--heat_up', on=['--heat_up']),
        same('--alpha'), same('--nb_hu_epoch'), same('--embedding_dim', to='embed_dim'),
        same('--learning_rate', to='lr'), same('--nb_epoch', to='epochs'), gpus('--gpu_id'),
        folder('--log_dir'), stands('--model_dir', note=RUN)]

DATA = {'car196': 'cars196', 'bird200': 'cub200', 'ebay': 'sop'}


def data_folder(values):
    """The launcher gives one folder for the arrays of all three data sets; a data set is a folder below it here."""
    given, below = values['--data_dir'], DATA[values['--dataset'] or 'car196']
    if given is None:
        return []
    return [f'--data_dir={os.path.join(given, below) if os.path.isdir(os.path.join(given, below)) else given}']


INCEPTION = Script([
    *LOSS,
    choice('--dataset', values={theirs: [f'--data_name={ours}'] for theirs, ours in DATA.items()},
           off=['--data_name=cars196']),
    stands('--data_dir', note=''),
    choice('--base_network', values={'InceptionV1': ['--backbone=googlenet']}),
    weights('--base_network_file'),
    choice('--optimizer', values={'rmsprop': ['--optim=rmsprop'], 'SGD': ['--optim=sgd'], 'ADAM': ['--optim=adam']}),
    switch('--data_augment', on=['--transform=heated_up'],
           off=['--transform=heated_up_center', '--sampler=sequential']),
    switch('--better_init', on=['--better_init']), switch('--alpha_decay', on=['--alpha_decay']),
    switch('--decay_lr', note='the original stops with an error here; the learning rate does not decay'),
    switch('--fast_kmeans', on=['--clustering=fast_kmeans'], off=['--clustering=heated_up']),
    stands('--bn_decay', note='without effect in the original too; its network keeps 0.95'),
    stands('--momentum', note='without effect in the original too; SGD has 0.9', words=['--momentum=0.9']),
    same('--training_batch_size', to='batch_size'), same('--test_batch_size'),
], ('--loss=heated_softmax', '--nmi', '--trunk_bn_decay=0.95'),
    signs=[f'--dataset {name}' for name in DATA], more=data_folder)

LENET = Script([
    *LOSS,
    stands('--save_image_dir', note='the maps are in the folder figures of the run'),
    stands('--beta', note='without effect in the original too'),
    same('--display_step'), same('--seed'), switch('--draw', on=['--draw'], off=['--draw=false']),
], ('--loss=heated_softmax', '--data_name=mnist', '--backbone=lenet', '--pretrained=false', '--image_size=28',
    '--embed_dim=2', '--transform=mnist', '--batch_size=128', '--optim=adam', '--epsilon=1e-8', '--lr=0.01',
    '--epochs=20', '--last_batch=discard', '--warm_up=false', '--nmi', '--clustering=heated_up'))


def launcher(script):
    """A launcher: it starts one run after the other."""
    return Script(refused=f'starts one run after the other. Fix: bash {script}, which does so here')


def converter(name):
    """A converter of pictures into arrays."""
    return Script([same('--data_dir'), stands('--save_dir', note='the pictures themselves are read, no arrays')],
                  (f'--data_name={name}',), ('prepare',))


SCRIPTS = {
    'deep_metric_learning_Inception': INCEPTION,
    'metric_learning_lenet': LENET,
    'run_Inception': launcher('scripts/heated_up_softmax.sh'),
    'run_mnist_lenet': launcher('scripts/heated_up_mnist.sh'),
    'car196': converter('cars196'),
    'bird200': converter('cub200'),
    'ebay': converter('sop'),
}
