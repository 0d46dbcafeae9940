"""Recorded vectors of HDC (PkuRainBow/HDC.caffe)."""

import random

import numpy as np

from core.contracts import Batch, Out
from core.runtime import autograd, nd
from evaluation import metrics
from losses.hdc import HDC
from models.heads import side_by_side
from samplers.hdc import class_batch, super_class_group
from samplers.pk import members_of
from tests.reference.backward import prepare, through_batch, variable

NOTES = {'hdc_layer': 'no active pair: the loss is 0, the original divides 0 by 0'}


def layer(case):
    """Chosen pairs, loss and gradient of one depth."""
    p, x, label = case.params, case['in_embeddings'], case['in_labels']
    criterion = prepare(HDC((x.shape[1],), (p['ratio'],), p['margin'], p['factor']))
    positive, negative, count = criterion.choose(x, label)
    case.equal('out_selected_positive', positive[0])
    case.equal('out_selected_negative', np.minimum(negative[0], 1))
    case.equal('out_pair_count', count)
    loss, grad = through_batch(criterion, x, label)
    case.close('out_loss', loss if count[0] else loss / 0)
    case.close_gradient('grad_embeddings', grad)


def three_depths(case):
    """Three depths from their features on: unit length, chosen pairs, losses, gradients before and after."""
    p, label = case.params, case['in_labels']
    number = range(1, p['depths'] + 1)
    features = [variable(case[f'in_features_{k}']) for k in number]
    units = [x / nd.sqrt(nd.sum(nd.square(x), axis=1, keepdims=True)) for x in features]
    dims = [x.shape[1] for x in features]
    criterion = prepare(HDC(dims, p['ratios'], p['margin'], p['factor']))
    positive, negative, count = criterion.choose(nd.concat(*units, dim=1).asnumpy(), label)
    for k in number:
        case.close(f'out_embeddings_{k}', units[k - 1])
        case.equal(f'out_selected_positive_{k}', positive[k - 1])
        case.equal(f'out_selected_negative_{k}', np.minimum(negative[k - 1], 1))
        case.equal(f'out_pair_count_{k}', count[k - 1])
    alone = [prepare(HDC((dim,), (ratio,), p['margin'], p['factor'])) for dim, ratio in zip(dims, p['ratios'])]
    case.close('out_loss', [through_batch(one, x, label)[0].asscalar() for one, x in zip(alone, units)])
    leaf = variable(np.concatenate([unit.asnumpy() for unit in units], axis=1))
    with autograd.record():
        both = nd.concat(*[nd.L2Normalization(x, mode='instance') for x in features], dim=1)
        losses = [criterion(Out(x, None), Batch(None, nd.array(label, dtype='int32'), None, None))
                  for x in (both, leaf)]
    autograd.backward(losses)
    case.close('out_loss_total', losses[0])
    ends = np.cumsum(dims)
    for k in number:
        case.close_gradient(f'grad_embeddings_{k}', leaf.grad[:, ends[k - 1] - dims[k - 1]:ends[k - 1]])
        case.close_gradient(f'grad_features_{k}', features[k - 1].grad)


def concatenated(case):
    """The embedding of a test image, weighted depths side by side, and its recall."""
    p = case.params
    parts = [case[f'in_embeddings_{k}'] for k in range(1, len(p['weights']) + 1)]
    joined = side_by_side(nd, [nd.array(part) for part in parts], [nd.full((1, 1), w) for w in p['weights']]).asnumpy()
    case.close('out_embedding', joined)
    norms = (joined.astype(np.float64) ** 2).sum(axis=1)
    squared = norms[:, None] + norms[None, :] - 2 * joined.astype(np.float64) @ joined.T.astype(np.float64)
    np.fill_diagonal(squared, np.inf)
    case.close('out_dist_mat', np.sqrt(np.maximum(squared, 0)), atol=1e-4)
    found = metrics.recall_at_k(joined, case['in_labels'], case['in_k'].tolist())
    case.equal('out_recall', list(found.values()))


def generator(seed):
    """A NumPy generator in the state of Python's random.seed(seed): both are the same Mersenne Twister."""
    state = random.Random(seed).getstate()[1]
    rng = np.random.RandomState()
    rng.set_state(('MT19937', np.array(state[:-1], dtype=np.uint32), state[-1]))
    return rng


def batches(case):
    """The list of batches: two draws of Python, or groups of super-classes."""
    p, label = case.params, case['in_labels']
    if 'in_super_labels' in case:
        super_classes(case)
        return
    members, length = members_of(label), (p['class_cnt'], p['images_per_class'])
    rng, now = generator(p['random_seed']), random.Random(p['random_seed'])
    for suffix, below in (('', lambda n: int(rng.random_sample() * n)), ('_py3', now.randrange)):
        image = np.stack([class_batch(members, *length, below) for _ in range(p['batch_cnt'])])
        case.equal('out_batch_image' + suffix, image)
        case.equal('out_batch_label' + suffix, label[image])


def super_classes(case):
    """The list of Online Products and the batches cut from it, which wrap around at its end."""
    p, label = case.params, case['in_labels']
    members, family = members_of(label), case['in_super_labels']
    family = np.array([family[rows[0]] for rows in members])
    rng = np.random.RandomState(p['np_random_seed'])
    groups = [super_class_group(members, family, p['classes_per_super'], rng) for _ in range(p['batch_cnt'])]
    rows = np.concatenate(groups)
    case.equal('out_group_length', [len(group) for group in groups])
    case.equal('out_group_super', [[case['in_super_labels'][group[0]], case['in_super_labels'][group[-1]]]
                                   for group in groups])
    case.equal('out_list_image', rows)
    case.equal('out_list_label', label[rows])
    image = np.resize(rows, case['out_batch_image'].shape)
    case.equal('out_batch_image', image)
    case.equal('out_batch_label', label[image])


FAMILIES = {'hdc_layer': layer, 'hdc_cascade': three_depths, 'hdc_test_concat': concatenated, 'hdc_batch': batches}
