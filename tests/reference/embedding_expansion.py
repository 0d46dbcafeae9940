"""Recorded vectors of Embedding Expansion (clovaai/embedding-expansion)."""

import numpy as np

from core.contracts import Batch, Out
from core.normalize import l2_normalize
from core.runtime import autograd, nd
from engine.schedule import multifactor_iteration
from evaluation import metrics
from evaluation.neighbours import search
from losses import expansion, functional
from losses.hphn_triplet import HPHNTriplet, published_distances
from samplers import pk_ee
from tests.reference import Difference, variable


def tolerance(distance, *points):
    """Allowed error of Euclidean distances, element by element.

    It grows with the length of the points. The float32 distance of two equal points is anything between 1e-6 and the
    root of cancellation noise.
    """
    scale = max(1.0, *(float(np.linalg.norm(x, axis=1).max()) for x in points))
    return np.where(distance < 4e-3 * scale, 2e-3, 1e-5) * scale



def criterion_of(case):
    """The loss that the file's parameters describe, hybridized."""
    p = case.params
    criterion = HPHNTriplet(p['n_inner_pts'], p['l2_norm'], p['margin'], p['soft_margin'])
    criterion.hybridize()
    return criterion


def hphn(case):
    """The loss, its parts and the gradient of its sum."""
    criterion = criterion_of(case)
    x, label = variable(case['in_embeddings']), nd.array(case['in_labels'])
    with autograd.record():
        loss = criterion(Out(x, None), Batch(None, label, None, None))
    loss.backward()
    gradient = x.grad.asnumpy()
    with autograd.record():
        d_ap, d_an = criterion.hardest(nd, x, label)
        of_negatives = functional.softplus(nd, d_ap.detach() - d_an) if criterion.soft_margin else nd.relu(
            d_ap.detach() - d_an + criterion.margin)
    points = expansion.expand(nd, x.detach(), criterion.n_inner_pts, criterion.ee_l2norm)
    distance = published_distances(nd, points, rows=len(points)).asnumpy()

    atol = tolerance(np.minimum(case['out_dist_ap'], case['out_dist_an']), case['in_embeddings'])
    case.close('out_loss', loss, atol=atol)
    case.close('out_loss_mean', loss.mean(), atol=atol.mean())
    case.close('out_loss_sum', loss.sum(), atol=atol.sum())
    case.close('out_dist_ap', d_ap, atol=atol)
    case.close('out_dist_an', d_an, atol=atol)
    if 'out_dist_mat' in case:
        case.close('out_dist_mat', distance, atol=tolerance(case['out_dist_mat'], points.asnumpy()))
    if 'out_n_tied_min' not in case:
        case.close_gradient('grad_embeddings', gradient)
        return

    # Each occurrence of the smallest negative distance receives the full gradient; with the published formula their
    # number is the recorded one (at a distance clipped to 1e-6, which has no gradient, it does not matter). The plain
    # gradient has one of them.
    equal = ties(distance, case['in_labels'], d_an.asnumpy())
    case.equal('out_n_tied_min', np.where(d_an.asnumpy() > 1e-6, equal, case['out_n_tied_min']))
    case.close_gradient('grad_embeddings', gradient)
    of_negatives.backward(nd.array(1 / equal - 1))
    case.close_gradient('grad_embeddings_untied', gradient + x.grad.asnumpy())


def ties(distance, label, d_an):
    """How often each sample attains its smallest negative distance."""
    groups = len(distance) // len(label)
    every = np.tile(label, groups)
    negative = np.where(every[:, None] != every[None, :], distance, np.inf)
    negative = negative.reshape(groups, len(label), -1).transpose(1, 0, 2).reshape(len(label), -1)
    return (negative == d_an[:, None]).sum(1)


def hphn_with_head(case):
    """The row normalisation of the head, then the loss."""
    criterion = criterion_of(case)
    features, label = variable(case['in_features']), nd.array(case['in_labels'])
    with autograd.record():
        x = l2_normalize(nd, features)
        loss = criterion(Out(x, None), Batch(None, label, None, None))
    loss.backward()
    case.close('out_embeddings', x)
    case.close('out_loss', loss)
    case.close_gradient('grad_features', features.grad)


def aug(case):
    """Synthetic points, their labels, and the gradient for a cotangent."""
    n, l2_norm = case.params['n_inner_pts'], case.params['l2_norm']
    x = variable(case['in_embeddings'])
    with autograd.record():
        points = expansion.expand(nd, x, n, l2_norm)
    points.backward(nd.array(case['in_cotangent']))
    case.close('out_embeddings', points)
    case.equal('out_labels', expansion.expand_labels(nd, nd.array(case['in_labels']), n))
    case.close_gradient('grad_embeddings', x.grad)


def euclidean_dist(case):
    """Clipped distances and both gradients for a cotangent."""
    x, y = variable(case['in_x']), variable(case['in_y'])
    with autograd.record():
        distance = functional.euclidean_distances(nd, x, y, rows=len(y), low=case.params['clip_min'])
    distance.backward(nd.array(case['in_cotangent']))
    case.close('out_dist', distance, atol=tolerance(case['out_dist'], case['in_x'], case['in_y']))
    case.close_gradient('grad_x', x.grad)
    case.close_gradient('grad_y', y.grad)


def recall(case):
    """Recall at the recorded ranks, and the squared distances behind it (0, or 1e5, from a sample to itself)."""
    x, ks = case['in_embeddings'], case.params['ranks']
    ours = metrics.recall_at_k(x, case['in_labels'], ks)
    case.equal('out_recall', [ours[k] for k in ks])
    if 'out_distmat' in case:
        index, score = search.neighbours(x, len(x) - 1)
        distance = np.diag(np.where(np.diag(case['out_distmat']) > 1e4, 1e5, 0.0))
        np.put_along_axis(distance, index, -score, axis=1)
        case.close('out_distmat', distance)


def sampler(case):
    """Rows of two epochs in the original's order, and the batches that are cut from them."""
    p, labels = case.params, case['in_labels']
    length, size, k = p['max_num_examples_per_iter'], p['batch_size'], p['num_images_per_id']
    rng = np.random.RandomState(p['np_random_seed'])
    for epoch in range(2):
        key = f'out_indices_epoch{epoch}'
        rows = pk_ee.draw(labels, length, size, k, rng)
        case.equal('out_len', len(rows))
        case.equal(key, rows)
    if length == k * len(np.unique(labels)):
        batches = pk_ee.PKEE(labels, size, k).indices(0, np.random.RandomState(p['np_random_seed']), None)
        if np.concatenate(batches).tolist() != case['out_indices_epoch0'][:length // size * size].tolist():
            raise Difference('out_indices_epoch0: PKEE cuts other batches than these')


def lr_schedule(case):
    """The iterations at which the learning rate changes, and its values from there on."""
    p = case.params
    lr = multifactor_iteration(p['lr'], p['lr_decay_factor'], [e * p['steps_per_epoch'] for e in p['lr_decay_epochs']])
    every = [lr(i) for i in range(int(case['out_change_iter'][-1]) + p['steps_per_epoch'])]
    changes = [i for i in range(len(every)) if i == 0 or every[i] != every[i - 1]]
    case.equal('out_change_iter', changes)
    case.close('out_lr', [every[i] for i in changes], rtol=1e-12, atol=0)


FAMILIES = {'hphn': hphn, 'hphn_with_head': hphn_with_head, 'aug': aug, 'euclidean_dist': euclidean_dist,
            'recall': recall, 'sampler': sampler, 'lr_schedule': lr_schedule}
OWNS = {'recall': lambda case: 'out_distmat' in case or 'ranks' in case.params}
