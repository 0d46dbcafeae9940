"""Recorded vectors of Local Sampling (bacnguyencong/deepml)."""

import numpy as np

from engine.schedule import Average, EarlyStopping, Plateau
from evaluation import metrics
from losses import mining
from losses.contrastive import Contrastive
from losses.sst import SST
from losses.triplet import TripletLocal
from samplers.local import build_batches
from tests.reference import Difference
from tests.reference.backward import prepare, through_batch


def sst(case):
    """Mined triplets, loss and gradient."""
    triplets = mining.build_triplets(case['in_embeddings'], case['in_labels'], case.params['n_target'])
    case.equal('out_triplets', triplets)
    loss, grad = through_batch(prepare(SST()), case['in_embeddings'], case['in_labels'], triplets)
    case.close('out_loss', loss)
    largest = np.abs(case['grad_embeddings']).max()
    case.close_gradient('grad_embeddings', grad, atol=max(1e-5, rounding(case['in_embeddings'], triplets) / largest))


def rounding(x, triplets):
    """What rounding did to the recorded gradient: the original differentiates p + log(exp(-p) + exp(-n)), whose part
    1 - exp(-p - log(...)) is a multiple of the float32 step at p. Its errors add up at random over the triplets that
    a sample is part of, each times the difference of two samples."""
    distance = mining.squared_distances(x)
    step = 2.0 ** -24 * distance[triplets[0], triplets[1]].max()
    part = np.bincount(triplets.ravel()).max()
    return step * np.sqrt(part) / triplets.shape[1] * np.sqrt(distance.max())


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


def batches(case):
    """Images and triplets of every batch, from the recorded clusters."""
    p = case.params
    found = build_batches(case['in_features'], case['in_labels'], p['batch_size'], p['n_target'],
                          case['in_kmeans_labels'], np.random.RandomState(p['np_random_seed']))
    if len(found) != p['n_batches']:
        raise Difference('{} batches recorded, {} computed'.format(p['n_batches'], len(found)))
    for i, (index, triplets) in enumerate(found):
        case.equal(f'out_batch{i}_index', index)
        case.equal(f'out_batch{i}_triplets', triplets())
        case.equal(f'out_batch{i}_triplets', mining.build_triplets(
            case['in_features'][index], case['in_labels'][index], p['n_target']))


def training_helpers(case):
    """Learning rate after each epoch, the epoch that stops, the running mean of the log."""
    p, losses = case.params, case['in_epoch_loss']
    stopping = EarlyStopping(p['es_patience'])
    case.equal('out_early_stop', [stopping.after_epoch(loss) for loss in losses])
    for key, lr in (('out_lr_base', p['base_lr']), ('out_lr_last', p['last_layer_lr'])):
        plateau, rates = Plateau(lr, factor=p['plateau_factor'], patience=p['plateau_patience']), []
        plateau.threshold = p['plateau_threshold']
        for loss in losses:
            plateau.after_epoch(loss)
            rates.append(plateau.lr(None))
        case.equal(key, rates)
    average = Average()
    case.equal('out_running_average', [average.add(*pair) for pair in zip(losses, np.asarray(case['in_weights']))])


def metrics_of(case):
    """Recall and NMI."""
    ks = case.params['topk']
    recall = metrics.recall_at_k(case['in_features'], case['in_labels'], ks)
    case.equal('out_recall', [recall[k] for k in ks])
    nmi_labels(case)
    case.equal('out_nmi', metrics.nmi(case['in_labels'], case['in_cluster_labels'], case.params['average_method']))


def nmi_labels(case):
    """NMI of two labelings with every kind of mean, degenerate ones included."""
    for average in ('arithmetic', 'geometric', 'min', 'max'):
        case.equal('out_nmi_' + average, metrics.nmi(case['in_labels'], case['in_cluster_labels'], average))


FAMILIES = {'sst': sst, 'triplet': triplet, 'contrastive': contrastive, 'build_batches': batches,
            'training_helpers': training_helpers, 'metrics': metrics_of, 'nmi_labels': nmi_labels}
NOTES = {'sst': 'gradient up to the rounding of the recorded formula'}
OWNS = {'metrics': lambda case: 'topk' in case.params,
        **dict.fromkeys(('sst', 'triplet', 'contrastive'), lambda case: 'in_last_weight' not in case)}
