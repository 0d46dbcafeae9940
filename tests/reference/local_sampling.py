"""Recorded vectors of Local Sampling (bacnguyencong/deepml)."""

import numpy as np

from engine.schedule import Average, EarlyStopping, Plateau
from losses import mining
from losses.contrastive import Contrastive
from losses.sst import SST
from losses.triplet import TripletLocal
from tests.reference.backward import prepare, through_batch


def sst(case):
    """Mined triplets, loss and gradient."""
    triplets = mining.build_triplets(case['in_embeddings'], case['in_labels'], case.params['n_target'])
    case.equal('out_triplets', triplets)
    loss, grad = through_batch(prepare(SST()), case['in_embeddings'], case['in_labels'], triplets)
    case.close('out_loss', loss)
    case.close_gradient('grad_embeddings', grad)


def triplet(case):
    """Loss and gradient with re-mined triplets; the quirk files hold SST on the same batch too."""
    criterion = prepare(TripletLocal(case.params['margin'], case.params['n_targets']))
    loss, grad = through_batch(criterion, case['in_embeddings'], case['in_labels'])
    case.close('out_loss', loss)
    case.close_gradient('grad_embeddings', grad)
    if 'out_triplets' in case:
        triplets = mining.build_triplets(case['in_embeddings'], case['in_labels'], case.params['n_target_for_T'])
        case.equal('out_triplets', triplets)
        loss, grad = through_batch(prepare(SST()), case['in_embeddings'], case['in_labels'], triplets)
        case.close('out_sst_loss', loss)
        case.close_gradient('grad_sst_embeddings', grad)


def contrastive(case):
    """Loss and gradient."""
    criterion = prepare(Contrastive(case.params['margin']))
    loss, grad = through_batch(criterion, case['in_embeddings'], case['in_labels'])
    case.close('out_loss', loss)
    case.close_gradient('grad_embeddings', grad)


def training_helpers(case):
    """Learning rate after each epoch, the epoch that stops, the running mean of the log."""
    p, losses = case.params, case['in_epoch_loss']
    stopping = EarlyStopping(p['es_patience'])
    case.equal('out_early_stop', [stopping.after_epoch(loss) for loss in losses])
    for key, lr in (('out_lr_base', p['base_lr']), ('out_lr_last', p['last_layer_lr'])):
        plateau = Plateau(lr, p['plateau_factor'], p['plateau_patience'], p['plateau_threshold'])
        case.equal(key, [plateau.after_epoch(loss) for loss in losses])
    average = Average()
    case.equal('out_running_average', [average.add(*pair) for pair in zip(losses, np.asarray(case['in_weights']))])


FAMILIES = {'sst': sst, 'triplet': triplet, 'contrastive': contrastive, 'training_helpers': training_helpers}
OWNS = {}
