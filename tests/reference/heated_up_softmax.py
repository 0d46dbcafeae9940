"""Recorded vectors of the Heated-Up Softmax Embedding (ColumbiaDVMM/Heated_Up_Softmax_Embedding)."""

import numpy as np

from core.contracts import Out
from core.normalize import l2_normalize
from core.runtime import autograd, nd
from evaluation import metrics
from losses import class_statistics
from losses.heated_softmax import TF_FLOOR, HeatedSoftmax
from models.heads import Bottleneck, pool
from tests.reference.backward import prepare, through_batch, variable


def softmax(case):
    """Logits, loss and gradients by features, weights, bias and the learned scale."""
    p, weights = case.params, case['in_weights'].T
    criterion = prepare(HeatedSoftmax(*weights.shape, alpha=p['alpha'], l2_norm=p['l2_norm'],
                                      norm_weights=p['norm_weights'], learn_norm=p['learn_norm'],
                                      label_smoothing=p['label_smoothing']), weight=weights, bias=case['in_bias'])
    if p['learn_norm']:
        criterion.scale.set_data(nd.array(case['in_norm_feature']))
    x = nd.array(case['in_features'])
    logits = criterion.logits(Out(x, None))
    loose = 1e-4 if p['alpha'] >= 64 else 1e-5
    case.close('out_logits', logits, atol=loose)
    case.close('out_bottleneck', l2_normalize(nd, x, floor=TF_FLOOR) if p['l2_norm'] else x)
    case.close('out_prob', nd.softmax(logits), atol=loose)
    case.equal('out_accuracy', np.float32(class_statistics.accuracy(logits.asnumpy(), case['in_labels'])))
    case.close('out_loss_per_sample', -nd.pick(nd.log_softmax(logits), nd.array(case['in_labels'])), atol=loose)
    loss, grad = through_batch(criterion, case['in_features'], case['in_labels'])
    case.close('out_loss', loss)
    case.close_gradient('grad_features', grad)
    case.close_gradient('grad_weights', criterion.weight.grad().T)
    case.close_gradient('grad_bias', criterion.bias.grad())
    if p['learn_norm']:
        case.close_gradient('grad_norm_feature', criterion.scale.grad())


def schedule(case):
    """alpha and learning rate of every epoch, as on_progress sets them."""
    p = case.params
    criterion = prepare(HeatedSoftmax(5, p['embedding_dim'], alpha=p['alpha'], bn=bool(p['bn']),
                                      alpha_decay=bool(p['alpha_decay']), heat_up=bool(p['heat_up']),
                                      nb_hu_epoch=p['nb_hu_epoch']))
    epochs = range(p['nb_epoch'])
    alpha, factor = np.transpose([criterion.schedule(epoch, p['nb_epoch']) for epoch in epochs])
    case.equal('out_alpha_per_epoch', alpha)
    case.equal('out_lr_per_epoch', p['learning_rate'] * factor)
    written = []
    for epoch in epochs:
        criterion.on_progress(epoch, p['nb_epoch'])
        written.append(criterion.scale.data().asscalar())
    case.close('out_alpha_per_epoch', written, rtol=1e-6, atol=0)


def bottleneck(case):
    """Last layer of the network: output, gradients, moving averages."""
    p, weights = case.params, case['in_weights'].T
    layer = Bottleneck(len(weights), bn=p['use_bn'], decay=p['bn_decay'])
    layer.initialize()
    features = variable(case['in_features'])
    image = p['layout'] == 'NHWC'
    layer(nd.zeros((1, weights.shape[1])))
    layer.dense.weight.set_data(nd.array(weights))
    if p['use_bn']:
        layer.norm.running_mean.set_data(nd.array(case['in_moving_mean']))
        for norm in (layer.norm, layer.unbiased):
            norm.running_var.set_data(nd.array(case['in_moving_variance']))
    with autograd.record(train_mode=p['is_training']):
        x = layer(pool(nd, nd.transpose(features, (0, 3, 1, 2))) if image else features)
        value = (x * nd.array(case['in_cotangent'])).sum()
    value.backward(train_mode=p['is_training'])
    case.close('out_embedding', x)
    case.close_gradient('grad_features', features.grad)
    case.close_gradient('grad_weights', layer.dense.weight.grad().T)
    if 'out_moving_mean' in case:
        case.close('out_moving_mean', layer.norm.running_mean.data())
        layer.settle()
        case.close('out_moving_variance', layer.norm.running_var.data())


def metrics_of(case):
    """Retrieval, clustering and the statistics of class_statistics, of raw and of normed embeddings."""
    x, labels, weights = case['in_embeddings'], case['in_labels'], case['in_weights'].T
    unit_x = class_statistics.unit_rows(x)
    case.close('out_norm_embeddings', unit_x, rtol=1e-6, atol=1e-7)
    ks = case.params['K_list']
    for suffix, vectors in (('', x), ('_normed', unit_x)):
        recall = metrics.recall_at_k(vectors, labels, [1, *ks])
        case.equal('out_recall' + suffix, recall[1])
        case.equal('out_recall_K' + suffix, [recall[k] for k in ks])
        for average in ('arithmetic', 'geometric'):
            case.equal(f'out_nmi_{average}{suffix}',
                       metrics.nmi(labels, case['in_cluster_labels' + suffix], average))
    ks = case.params['K_list_fashion']
    recall = metrics.recall_at_k(x, labels, [1, *ks], query=case['in_query_index'],
                                 gallery=case['in_gallery_index'])
    case.equal('out_recall_fashion', recall[1])
    case.equal('out_recall_K_fashion', [recall[k] for k in ks])
    mean = class_statistics.category_mean(class_statistics.unit_rows(x), labels, case.params['num_category'])
    length = class_statistics.norms(x)
    case.close('out_category_mean', mean, rtol=1e-6, atol=1e-7)
    case.equal('out_feature_norm_mean_var', [length.mean(), length.var()])
    case.equal('out_norm_list', length)
    case.equal('out_cos_list', class_statistics.own_cosines(x, labels, weights))
    case.equal('out_all_acc', class_statistics.accuracy(unit_x @ class_statistics.unit_rows(weights).T, labels))
    # the original's class means are float32 here
    case.close('out_mean_weight_diff', class_statistics.mean_weight_difference(mean, weights), rtol=1e-7, atol=0)


FAMILIES = {'softmax': softmax, 'schedule': schedule, 'bottleneck': bottleneck, 'metrics': metrics_of}
OWNS = {'metrics': lambda case: 'K_list' in case.params}
