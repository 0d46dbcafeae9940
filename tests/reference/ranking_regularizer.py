"""Recorded vectors of the Ranking Regularizer (ahmdtaha/softmax_triplet_loss)."""

import numpy as np

from core.runtime import autograd, nd
from engine import schedule
from evaluation import metrics
from losses import mining, softmax_ranking
from models.heads import Flat
from tests.reference import Difference, variable


def ranking(kernel):
    """Check of a ranking loss: its value, and the gradients of its sum and of its mean."""
    def check(case):
        x, label = variable(case['in_embeddings']), nd.array(case['in_labels'])
        with autograd.record():
            loss = kernel(nd, x, label, case.params['margin'], len(label))
            mean = loss.mean()
        # The loss is a difference of two float32 distances, each exact to a few units in its last place.
        norms = np.square(case['in_embeddings']).sum(axis=1)
        atol = 1e-5 + 1e-6 * norms.max()
        case.close('out_loss', loss, atol=atol)
        case.close('out_loss_mean', mean, atol=atol)
        mean.backward(retain_graph=True)
        gradients_close(case, 'grad_embeddings', x.grad.asnumpy())
        loss.backward()
        gradients_close(case, 'grad_embeddings_of_sum', x.grad.asnumpy())
    return check


def gradients_close(case, key, computed):
    """Compare gradients. Of equal rows of the batch the last bit of a distance decides which one is mined: if they
    differ, the sum over equal rows must agree, to three digits because the noise is divided by its root."""
    try:
        case.close_gradient(key, computed)
    except Difference:
        rows, group = np.unique(case['in_embeddings'], axis=0, return_inverse=True)
        if len(rows) == len(computed):
            raise
        together = np.equal.outer(np.arange(len(rows)), group.reshape(-1)).astype(np.float64)
        case.arrays[key] = together @ case[key]
        case.close_gradient(key, together @ computed, rtol=1e-3, atol=1e-3)


def semi_hard_of_batch(F, x, label, margin, rows=None):
    """The loss with the pairs that the criterion finds for it."""
    return softmax_ranking.semi_hard(F, x, label, margin, mining.pairs_input(label)[0], rows)


def semi_hard(case):
    """As `ranking`; without a positive pair the original records NaN and we must give 0."""
    if np.isnan(case['out_loss']).any():
        if len(np.unique(case['in_labels'])) < len(case['in_labels']):
            raise Difference('out_loss: NaN recorded for a batch that has positive pairs')
        for key in list(case.arrays):
            if key.startswith(('out_loss', 'grad_')):
                case.arrays[key] = np.where(np.isnan(case[key]), 0, case[key])
    ranking(semi_hard_of_batch)(case)


def pairwise_distance(case):
    """Distances and their gradient for a cotangent; that of two equal rows is 0 or the root of rounding noise."""
    x = variable(case['in_embeddings'])
    norm = float(x.norm(axis=1).max().asscalar())
    with autograd.record():
        distance = softmax_ranking.pairwise_distances(nd, x, nd.arange(len(x)), case.params['squared'], len(x))
    distance.backward(nd.array(case['in_cotangent']))
    if case.params['squared']:
        atol = 1e-5 + 1e-6 * norm ** 2
    else:
        atol = np.where(case['out_distance'] < 4e-3 * norm, 2e-3, 1e-5) * max(1.0, norm)
    case.close('out_distance', distance, atol=atol)
    gradients_close(case, 'grad_embeddings', x.grad.asnumpy())


def center(case):
    """Loss, its gradient, and the centers after one and two updates from the same features."""
    x, label, centers = variable(case['in_embeddings']), nd.array(case['in_labels']), nd.array(case['in_centers'])
    with autograd.record():
        loss = softmax_ranking.center(nd, x, label, centers)
    loss.backward()
    case.close('out_loss', loss, atol=1e-5 * len(label))
    case.close_gradient('grad_embeddings', x.grad)
    difference = centers.take(label) - x.detach()
    case.close('out_squared_distance_per_sample', nd.sum(difference ** 2, axis=1))
    count = np.bincount(case['in_labels'], minlength=len(centers))[case['in_labels']].reshape(-1, 1)
    case.equal('out_appear_times', count)
    case.close('out_diff', case.params['alpha'] * difference.asnumpy() / (1 + count))
    once = softmax_ranking.moved_centers(centers, x.detach(), label, case.params['alpha'])
    case.close('out_centers_after_1', once)
    case.close('out_centers_after_2', softmax_ranking.moved_centers(once, x.detach(), label, case.params['alpha']))


def conv_embed(case):
    """The flattened map through the head, then the ranking loss: gradients of the map and of the Dense layer."""
    mode, scale = case.params['mode'], case.params['lambda_']
    features, weight = case['in_features'], case['in_weight']
    height, width, channels = features.shape[1:]
    head = Flat(weight.shape[1])
    head.initialize()
    maps, label = variable(features.transpose(0, 3, 1, 2)), nd.array(case['in_labels'])
    head(maps)
    by_channel = weight.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(weight.shape[1], -1)
    head.dense.weight.set_data(nd.array(by_channel))
    head.dense.bias.set_data(nd.array(case['in_bias']))
    with autograd.record():
        x = head(maps)
        if mode == 'cntr':
            loss = softmax_ranking.center(nd, x, label, nd.array(case['in_centers']))
        else:
            kernel = softmax_ranking.batch_hard if mode == 'hard' else semi_hard_of_batch
            loss = kernel(nd, x, label, case.params['margin'])
        loss = scale * loss.mean()
    loss.backward()
    case.close('out_embeddings', x)
    case.close('out_loss', loss)
    case.close_gradient('grad_features', maps.grad.asnumpy().transpose(0, 2, 3, 1))
    grad = head.dense.weight.grad().asnumpy().reshape(-1, channels, height, width)
    case.close_gradient('grad_weight', grad.transpose(2, 3, 1, 0).reshape(weight.shape))
    case.close_gradient('grad_bias', head.dense.bias.grad())


def poly_lr(case):
    """Learning rates of recorded steps, float32 in the original."""
    p = case.params
    lr = schedule.poly(p['learning_rate'], p['end_learning_rate'], p['train_iters'], p.get('power', 1))
    case.close('out_lr', [lr(int(step)) for step in case['in_step']], rtol=1e-5, atol=1e-6 * p['learning_rate'])


def confusion(case):
    """Accuracies of a confusion matrix, and the matrix itself from labels that give it."""
    table = case['in_confusion']
    labels = np.repeat(np.arange(len(table)), table.sum(axis=1))
    predictions = np.concatenate([np.repeat(np.arange(len(table)), row) for row in table])
    ours = metrics.confusion_matrix(labels, predictions, len(table))
    if (ours != table).any():
        raise Difference('in_confusion: labels and predictions that give it are counted differently')
    case.equal('out_accuracy', metrics.accuracy(ours))
    case.equal('out_mean_class_accuracy', metrics.macro_accuracy(ours))


FAMILIES = {'batch_hard': ranking(softmax_ranking.batch_hard), 'semihard_plain': semi_hard, 'semihard_quirk': semi_hard,
            'pairwise_distance': pairwise_distance, 'center': center, 'conv_embed': conv_embed, 'poly_lr': poly_lr,
            'confusion': confusion}
NOTES = {'semihard_quirk': 'we differ: a batch without a positive pair gives loss and gradient 0, the original NaN'}
