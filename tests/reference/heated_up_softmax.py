"""Recorded vectors of the Heated-Up Softmax Embedding (ColumbiaDVMM/Heated_Up_Softmax_Embedding)."""

import numpy as np

from engine.runtime import nd
from losses import class_statistics
from losses.heated_softmax import HeatedSoftmax, unit
from tests.reference.backward import prepare, through_batch


def softmax(case):
    """Logits, loss and gradients by features, weights, bias and the learned scale."""
    p, weights = case.params, case['in_weights'].T
    criterion = prepare(HeatedSoftmax(*weights.shape, alpha=p['alpha'], l2_norm=p['l2_norm'],
                                      norm_weights=p['norm_weights'], learn_norm=p['learn_norm'],
                                      label_smoothing=p['label_smoothing']), weight=weights, bias=case['in_bias'])
    if p['learn_norm']:
        criterion.scale.set_data(nd.array(case['in_norm_feature']))
    x = nd.array(case['in_features'])
    logits = criterion.logits(nd, x, criterion.weight.data(), criterion.bias.data(), criterion.scale.data())
    loose = 1e-4 if p['alpha'] >= 64 else 1e-5
    case.close('out_logits', logits, atol=loose)
    case.close('out_bottleneck', unit(nd, x) if p['l2_norm'] else x)
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


FAMILIES = {'softmax': softmax, 'schedule': schedule}
