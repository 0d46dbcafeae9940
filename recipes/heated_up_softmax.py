"""Heated-Up Softmax Embedding: Zhang et al., arXiv 1809.04157, 2018."""

DEFAULTS = {
    'heated_softmax': {
        'lr': 1e-4, 'wd': 0.0, 'optim': 'rmsprop', 'momentum': 0.9, 'batch_size': 32, 'epochs': 60, 'image_size': 224,
        'embed_dim': 64, 'backbone': 'googlenet', 'lr_schedule': 'constant', 'head_lr_mult': 1.0, 'conv_lr_mult': 1.0,
        'trunk_init': 'he_truncated', 'head_init': 'he_truncated', 'transform': 'heated_up', 'metric': 'cosine'},
}

CONSTANTS = {
    'heated_softmax': {'sgd': {'form': 'tfmomentum'},
                       'rmsprop': {'form': 'tfrmsprop', 'decay': 0.9, 'momentum': 0.9, 'epsilon': 1.0},
                       'adam': {'epsilon': 0.01}},
}

# Retrieval: run_Inception.py.
HEAT = {'heat_up': True, 'nb_hu_epoch': 20}
SOFTMAX, LN, BN = {'alpha': 1.0}, {'l2_norm': True, 'norm_weights': True}, {'bn': True, 'norm_weights': True}
# name: (flags, method in Tables 1 to 4, in the repository's figure)
METHODS = {
    'hbn': ({**BN, 'alpha': 16.0, **HEAT}, 'HBN: heated-up BN (16->4)', 'Softmax + HBN'),
    'bn': ({**BN, 'alpha': 16.0}, 'BN: batch-norm embedding (no learned scale) + l2-norm weights, alpha=16',
           'Softmax + BN'),
    'hln': ({**LN, 'alpha': 16.0, **HEAT}, 'HLN: heated-up LN (16->4)', 'Softmax + HLN'),
    'ln': ({**LN, 'alpha': 16.0}, 'LN: l2-norm embedding + l2-norm weights, alpha=16', 'Softmax + LN'),
    'softmax': (SOFTMAX, 'Softmax (SM)', 'Softmax'),
    'label_smoothing': ({**SOFTMAX, 'label_smoothing': 0.1}, None, 'Softmax + label smoothing (LS)'),
}
RETRIEVAL = {'loss': 'heated_softmax', 'backbone': 'inception_v1', 'pretrained': True, 'image_size': 224,
             'embed_dim': 64, 'transform': 'heated_up', 'batch_size': 32, 'wd': 0.0, 'epochs': 80,
             'eval_epoch_term': 1, 'trunk_bn_decay': 0.95, 'bn_decay': 0.95}
SGD = {'optim': 'sgd', 'momentum': 0.9, 'lr': 0.004}
# data set: (table, flags)
DATA = {
    'cars196': ('Table 1', {**SGD, 'clustering': 'heated_up', 'recallk': [1, 2, 4, 8]}),
    'cub200': ('Table 2', {**SGD, 'clustering': 'heated_up', 'recallk': [1, 2, 4, 8]}),
    'sop': ('Table 3', {'optim': 'adam', 'lr': 0.01, 'better_init': True, 'clustering': 'fast_kmeans',
                        'recallk': [1, 10, 100]}),
    'inshop': ('Table 4', {**SGD, 'clustering': 'fast_kmeans', 'recallk': [1, 10, 20, 30]}),
}
# Table 5: embeddings of several lengths, a fixed alpha or heated up; those of 64 that Table 1 has too are its rows.
SIZES = {'softmax_{}': (SOFTMAX, 'Softmax (SM)'), 'hbn_{}': ({**BN, 'alpha': 16.0, **HEAT}, 'HBN (16->4)'),
         **{f'bn{alpha}_{{}}': ({**BN, 'alpha': float(alpha)}, f'BN fixed alpha={alpha}')
            for alpha in (4, 8, 16, 32, 64)}}
SAME = {'hbn': 'HBN (16->4)', 'bn': 'BN fixed alpha=16', 'softmax': 'Softmax (SM)'}


def _published(name, data):
    _, method, figure = METHODS[name]
    found = [(DATA[data][0], method)] if method else []
    if data == 'cars196':
        found += [('README figure (repo)', figure)] + ([('Table 5', SAME[name])] if name in SAME else [])
    return found


# The maps of Figure 3: run_mnist_lenet.py. No figure is published: a small alpha gives compact classes that merge, a
# large one arcs that touch, 16 heated up compact and separate ones.
MAPS = {'map_heated': {'alpha': 16.0, **HEAT}, **{f'map_{alpha:g}': {'alpha': alpha}
                                                  for alpha in (0.25, 4.0, 16.0, 32.0, 64.0)}}
MNIST = {'loss': 'heated_softmax', **LN, 'backbone': 'lenet', 'image_size': 28, 'embed_dim': 2, 'transform': 'mnist',
         'batch_size': 128, 'last_batch': 'discard', 'warm_up': False, 'optim': 'adam', 'epsilon': 1e-8, 'lr': 0.001,
         'wd': 0.0, 'epochs': 100, 'clustering': 'heated_up', 'eval_epoch_term': 1, 'display_step': 10, 'draw': True,
         'recallk': [1]}

ROWS = [
    *({'name': name, 'data': data, 'flags': {**RETRIEVAL, **DATA[data][1], **METHODS[name][0]},
       'published': _published(name, data)} for data in DATA for name in METHODS),
    *({'name': name.format(size), 'data': 'cars196',
       'flags': {**RETRIEVAL, **DATA['cars196'][1], **flags, 'embed_dim': size}, 'published': [('Table 5', method)]}
      for size in (64, 128, 256) for name, (flags, method) in SIZES.items()
      if size != 64 or method not in SAME.values()),
    *({'name': name, 'data': 'mnist', 'flags': {**MNIST, **flags}, 'note': 'a picture (Figure 3), no figure'}
      for name, flags in MAPS.items()),
]
