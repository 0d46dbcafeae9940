"""Recorded vectors of DeepEmbeding (hudengjunai/DeepEmbeding)."""

import numpy as np

import recipes
from core.contracts import Batch, Out
from core.runtime import autograd, gluon, nd
from datasets.records import Split
from datasets.transforms import get_transform
from engine.optimizers import settings
from engine.schedule import multifactor_epoch
from evaluation import metrics
from losses import mining
from losses.margin import Margin
from losses.npair import NPair
from tests.reference.backward import prepare, through_batch, through_equation, variable


def blocks(case):
    """The original does not look at labels: blocks of batch_k neighbours are a class."""
    return np.arange(len(case['in_labels'])) // case.params['batch_k']


def margin(case):
    """Probabilities, draws, terms, loss and gradients."""
    p, x = case.params, case['in_embeddings']
    case.close('out_prob_matrix', mining.distance_weights(x, blocks(case), p['cutoff'], p['nonzero_loss_cutoff']),
               rtol=1e-4, atol=1e-7)
    case.equal('out_fallback_row', np.zeros(len(x)))
    a, q, n = mining.distance_weighted(x, blocks(case), np.random.RandomState(p['np_random_seed']), p['cutoff'],
                                       p['nonzero_loss_cutoff'])
    for key, index in (('out_a_indices', a), ('out_p_indices', q), ('out_n_indices', n)):
        case.equal(key, index)
    beta = case['in_beta'] if p['class_beta'] else np.full(p['n_beta'], p['beta_const'])
    criterion = prepare(Margin(p['n_beta'], p['margin'], nu=p['nu'], lr_beta=0.1 if p['class_beta'] else 0.0),
                        beta=beta)
    d_ap, d_an, positive, negative, count = criterion.terms(
        nd, *(nd.array(array) for array in (x, case['in_labels'], a, q, n)), criterion.beta.data())[:5]
    for key, value in (('out_d_ap', d_ap), ('out_d_an', d_an), ('out_pos_loss', positive),
                       ('out_neg_loss', negative), ('out_pair_count', count)):
        case.close(key, value)
    loss, grad = through_equation(criterion, x, case['in_labels'].astype('int32'), a, q, n,
                                  np.ones(len(a), dtype='float32'))
    case.close('out_loss', loss)
    case.close_gradient('grad_embeddings', grad)
    if p['class_beta']:
        case.close_gradient('grad_beta', criterion.beta.grad())


def margin_net(case):
    """Dense, normalisation, sampling and loss in one, as the training loop runs them."""
    p = case.params
    features = variable(case['in_features'])
    weight, bias = variable(case['in_dense_weight']), variable(case['in_dense_bias'])
    classes = len(case['grad_beta'])
    rng = np.random.RandomState(p['np_random_seed'])
    criterion = prepare(Margin(classes, p['margin'], p['beta'], p['nu'], rng=rng))
    with autograd.record():
        x = nd.L2Normalization(nd.FullyConnected(features, weight, bias, num_hidden=len(weight)), mode='instance')
        inputs = criterion.inputs(Out(x, None), Batch(None, nd.array(blocks(case)), None, None))
        labelled = (x, nd.array(case['in_labels'], dtype='int32'), *inputs[2:])
        loss = gluon.HybridBlock.__call__(criterion, *labelled)
    loss.backward()
    case.close('out_embeddings', x)
    case.equal('out_n_indices', inputs[4])
    case.close('out_loss', loss)
    for key, grad in (('grad_features', features.grad), ('grad_dense_weight', weight.grad),
                      ('grad_dense_bias', bias.grad), ('grad_beta', criterion.beta.grad())):
        case.close_gradient(key, grad)


def margin_train_steps(case):
    """Complete updates of the layer and of beta, with the optimisers that the criterion asks for."""
    p = case.params
    dense = gluon.nn.Dense(*case['in_weight'].shape[:1], in_units=case['in_weight'].shape[1])
    dense.initialize()
    dense.weight.set_data(nd.array(case['in_weight']))
    dense.bias.set_data(nd.array(case['in_bias']))
    criterion = prepare(Margin(len(case['out_beta_0']), p['margin'], p['beta0'], p['nu'], p['lr_beta']))
    adam = settings('adam', p['lr'], p['wd'], constants=recipes.constants('margin'))
    trainers = [gluon.Trainer(dense.collect_params(), *adam),
                gluon.Trainer(criterion.collect_params(), *criterion.own_optimizer())]
    step = 0
    while f'in_features_{step}' in case:
        label = case[f'in_labels_{step}']
        pairs = mining.positive_pairs(np.arange(len(label)) // p['batch_k'])
        negative = case[f'out_n_indices_{step}']
        case.compared.add(f'out_n_indices_{step}')
        rest = [nd.array(array, dtype='int32') for array in (label, *pairs, negative)]
        with autograd.record():
            x = nd.L2Normalization(dense(nd.array(case[f'in_features_{step}'])), mode='instance')
            loss = gluon.HybridBlock.__call__(criterion, x, *rest, nd.ones(len(negative)))
        loss.backward()
        for trainer in trainers:
            trainer.step(criterion.step_size(p['step_batch_size']))
        case.close(f'out_loss_{step}', loss)
        case.close(f'out_weight_{step}', dense.weight.data())
        case.close(f'out_bias_{step}', dense.bias.data())
        case.close(f'out_beta_{step}', criterion.beta.data())
        step += 1


def npair(case):
    """Logits, regulariser, loss and gradient."""
    x, half = case['in_embeddings'], len(case['in_embeddings']) // 2
    criterion = prepare(NPair(case.params['l2_reg']))
    case.close('out_logits', criterion.similarities(nd, nd.array(x[:half]), nd.array(x[half:]), None))
    case.close('out_l2_term', criterion.mean_norm(nd, nd.array(x)))
    target = case['in_target'].astype('float32')
    loss, grad = through_equation(criterion, x, target)
    case.close('out_loss', loss)
    # the recorded gradient is made of 1 - softmax in float32, steps of 6e-8; the last tolerance says what they can do
    steps = 2.0 ** -23 * np.sqrt((x * x).sum(axis=1)).max() / half
    largest = np.abs(case['grad_embeddings']).max()
    case.close_gradient('grad_embeddings', grad, atol=max(1e-5, steps / largest))
    if (target == np.arange(half)).all():
        case.close('out_loss', through_batch(criterion, x, np.tile(np.arange(half), 2))[0])


def get_lr(case):
    """Learning rate of each epoch."""
    lr = multifactor_epoch(case.params['lr'], case.params['factor'], case.params['steps'])
    case.equal('out_lr', [lr(epoch) for epoch in case['in_epoch']])


def recall(case):
    """Recall@K of both scripts."""
    ks = case.params['k']
    found = metrics.recall_at_k(case['in_embeddings'], case['in_labels'], ks)
    for key in ('out_recall_train_mx_margin', 'out_recall_train_mx_ebay_margin', 'out_recall'):
        case.equal(key, [found[k] for k in ks])


def nmi(case):
    """NMI of recorded clusters; the original's scikit-learn took the geometric mean."""
    for average in ('arithmetic', 'geometric'):
        case.equal('out_nmi_' + average, metrics.nmi(case['in_labels'], case['in_cluster_labels'], average))


def transform_cub_test(case):
    """Cut to the box, resize, normalise, centre crop: ours gives bytes, the network normalises."""
    p = case.params
    split = Split([0], boxes=None if p['box'] is None else [p['box']],
                  reader=lambda row: case['in_image_hwc'].astype(np.uint8))
    split.crop_box = p['box'] is not None
    image = get_transform('margin', False, p['crop'])(split.read(0), np.random.RandomState(0))
    scaled = ((image / 255.0 - p['mean']) / p['std']).transpose(2, 0, 1)[None]
    case.equal('out_shape', scaled.shape)
    case.close('out_mean', scaled.mean(), atol=ROUNDED)
    case.close('out_image_subsampled', scaled[:, :, ::p['subsample'], ::p['subsample']], atol=ROUNDED)


ROUNDED = 0.5 / 255 / 0.224     # the original's picture is float; half a grey level, after the normalisation
FAMILIES = {'margin': margin, 'margin_net': margin_net, 'margin_train_steps': margin_train_steps, 'npair': npair,
            'get_lr': get_lr, 'recall': recall, 'torch_recall': recall, 'nmi': nmi,
            'transform_cub_test': transform_cub_test}
OWNS = {'recall': lambda case: 'out_recall_train_mx_margin' in case}
