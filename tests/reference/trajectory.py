"""Thirty training steps of each original, replayed through the suite's own Trainer, schedules, optimizers and heads.

A recorded batch of features takes the place of what a trunk computes; everything behind it is built as a run builds it.
Tolerances: loss 1e-5 of the largest, parameters 2e-3 of how far they moved, rates 1e-6, what does not move exactly.
"""

import numpy as np

from core.runtime import nd
from engine.schedule import get_schedule
from losses.contrastive import Contrastive
from losses.heated_softmax import HeatedSoftmax
from losses.hphn_triplet import HPHNTriplet
from losses.softmax_ranking import SoftmaxRanking
from losses.sst import SST
from losses.triplet import TripletLocal
from tests.reference.replay import Drawn, Normed, Replay, entry, network, replayed, shown, transposed


def ee_hphn(case):
    """HPHN triplet with and without expansion, Adam on the sum, iteration schedule."""
    p = case.params
    net = network(case, 'l2', dim=len(case['in_bias']))
    criterion = HPHNTriplet(p['n_inner_pts'], p['ee_l2norm'], p['margin'], p['soft_margin'])
    dense = net.head.bottleneck.dense
    replay = Replay(case, 'hphn_triplet', net, criterion, {'weight': entry(dense.weight), 'bias': entry(dense.bias)})
    epochs = len(case['out_lr']) // p['steps_per_epoch']
    return replay.run(p['optimizer'], get_schedule('multifactor_iteration', p['lr'], factor=p['lr_decay_factor'],
                                            decay_epochs=p['lr_decay_epochs'], epochs=epochs), epochs)


def margin_beta(case):
    """Margin loss, two trainers, epoch schedule."""
    p = case.params
    net = network(case, 'l2', dim=len(case['in_bias']))
    criterion = Drawn(len(case['in_beta']), p['margin'], p['beta'], p['nu'], p['lr_beta'])
    dense = net.head.bottleneck.dense
    extras = np.stack([case[f'in_{which}_indices'] for which in 'apn'], axis=1)
    replay = Replay(case, 'margin', net, criterion, {'weight': entry(dense.weight), 'bias': entry(dense.bias),
                                                     'beta': entry(criterion.beta)}, extras)
    epochs = len(case['out_lr']) // p['steps_per_epoch']
    return replay.run(p['optimizer'], get_schedule('multifactor_epoch', p['lr'], factor=p['lr_decay_factor'],
                                            decay_epochs=p['lr_decay_epochs'], epochs=epochs), epochs)


def heated(case):
    """Heated-up softmax: start-up pass, better_init, moving statistics, alpha and rate over the epochs."""
    p = case.params
    classes, dim = case['in_weights'].shape[::-1]
    net = network(case, 'bn' if p['bn'] else 'linear', dim=dim, bn_decay=p['bn_decay'])
    criterion = HeatedSoftmax(classes, dim, p['alpha'], p['l2_norm'], p['norm_weights'], p['learn_norm'], p['bn'],
                              p['label_smoothing'], p['alpha_decay'], p['heat_up'], p.get('nb_hu_epoch', 20),
                              p['better_init'])
    criterion.warm_up = p['warm_up_steps'] > 0
    bottleneck = net.head.bottleneck
    arrays = {'bottleneck_weight': transposed(bottleneck.dense.weight), 'weights': transposed(criterion.weight),
              'bias': entry(criterion.bias)}
    if p['bn']:
        arrays['bn_beta'] = entry(bottleneck.norm.beta)
        for name, ours in (('mean', 'running_mean'), ('var', 'running_var')):
            read, put = entry(getattr(bottleneck.norm, ours))
            _, also = entry(getattr(bottleneck.unbiased, ours))
            arrays['bn_moving_' + name] = read, lambda array, put=put, also=also: (put(array), also(array))
    else:
        arrays['bottleneck_bias'] = entry(bottleneck.dense.bias)
    if p['learn_norm']:
        arrays['norm_feature'] = entry(criterion.scale, lambda x: np.reshape(x, 1), lambda x: x[0])
    replay = Replay(case, 'heated_softmax', net, criterion, arrays)
    optim = {'mnist_adam': 'adam'}.get(p['optimizer'], p['optimizer'])
    found = replay.run(optim, get_schedule('constant', p['lr']), p['nb_epoch'],
                       p['warm_up_steps'] * len(case['in_labels'][0]))
    alpha = [criterion.schedule(epoch, p['nb_epoch'])[0] for epoch in range(p['nb_epoch'])]
    found['out_alpha'] = [line['alpha'] for line in replay.lines] if not p['learn_norm'] else np.repeat(
        alpha, p['steps_per_epoch'])    # fed, and without effect
    return found


def ranking(case):
    """Softmax with a ranking regulariser, linear decay that may end before training does."""
    p = case.params
    vanilla = p['train_mode'] == 'vanilla'
    net = network(case, 'pooled' if vanilla else 'two_head', 'pooled', p['emb_dim'])
    still = p['train_mode'] == 'center' and not p['centers_moved']
    criterion = SoftmaxRanking(p['num_classes'], p['emb_dim'], p['train_mode'], p.get('triplet_loss_lambda', 1.0),
                               p.get('margin', 0.2), p.get('center_lambda', 0.003),
                               0.0 if still else p.get('center_alpha', 0.5))
    criterion.initialize()
    criterion.logits(net(nd.array(shown(case)[:2])))
    arrays = {'classifier_weight': transposed(criterion.classifier.weight),
              'classifier_bias': entry(criterion.classifier.bias)}
    if not vanilla:
        h, w, c = case['in_features'].shape[2:]
        arrays['embed_bias'] = entry(net.head.dense.bias)
        arrays['embed_weight'] = entry(    # their map is flattened channel last, ours channel first
            net.head.dense.weight, lambda x: x.reshape(h, w, c, -1).transpose(3, 2, 0, 1).reshape(x.shape[1], -1),
            lambda x: x.reshape(-1, c, h, w).transpose(2, 3, 1, 0).reshape(h * w * c, -1))
    if p['train_mode'] == 'center':
        arrays['centers'] = entry(criterion.centers)
    replay = Replay(case, 'softmax_ranking', net, criterion, arrays)
    schedule = get_schedule('poly', p['lr'], end_lr=p['end_learning_rate'], train_iters=p['train_iters'])
    return replay.run('sgd', schedule, 1)


def local(case):
    """The three losses of local sampling: a last layer that is never trained, plateau schedule."""
    p, hidden = case.params, len(case['in_bn_beta'])
    rows, features = case['in_features'].shape[1:]
    trunk = Normed(hidden, features, rows, p['bn_epsilon'])
    trunk.initialize()
    net = network(case, 'l2' if p['normalized'] else 'linear', dim=len(case['in_last_bias']), trunk=[trunk])
    net.apply_lr_mult(head=0.0)
    extras = None
    if p['family'] == 'sst':
        criterion, extras = SST(p['normalized']), case['in_triplets']
    elif p['family'] == 'triplet_local':
        criterion = TripletLocal(p['margin'], p['loss_n_targets'], p['normalized'])
    else:
        criterion = Contrastive(p['margin'], p['normalized'])
    last, norm = net.head.bottleneck.dense, trunk.norm
    arrays = {'fc_weight': entry(trunk.fc.weight), 'bn_gamma': entry(norm.gamma), 'bn_beta': entry(norm.beta),
              'last_weight': entry(last.weight), 'last_bias': entry(last.bias),
              'bn_moving_mean': entry(norm.running_mean), 'bn_moving_var': entry(trunk.moving.running_var)}
    replay = Replay(case, p['family'], net, criterion, arrays, extras)
    epochs = len(case['out_lr']) // p['steps_per_epoch']
    schedule = get_schedule('plateau', p['lr'], factor=p['plateau_factor'], patience=p['plateau_patience'])
    schedule.threshold = p['plateau_threshold']
    # the recording is of a PyTorch that has the later form; that of the authors' time had MXNet's
    return replay.run('torchadam' if p['adam_form'] == 'torch' else 'adam', schedule, epochs)


def is_trajectory(case):
    """Whether a file of a flat folder belongs here."""
    return any(key.endswith('_step30') for key in case.arrays)


FAMILIES = {prefix: replayed(family) for prefix, family in (
    ('ee_hphn', ee_hphn), ('margin_beta', margin_beta), ('heated', heated), ('ranking', ranking), ('sst', local),
    ('triplet_local', local), ('contrastive', local))}
OWNS = dict.fromkeys(FAMILIES, is_trajectory)
