"""Heated-Up Softmax Embedding: Zhang et al., arXiv 1809.04157, 2018."""

DEFAULTS = {
    'heated_softmax': {
        'lr': 1e-4, 'wd': 0.0, 'optim': 'rmsprop', 'momentum': 0.9, 'batch_size': 32, 'epochs': 60, 'image_size': 224,
        'embed_dim': 64, 'backbone': 'googlenet', 'lr_schedule': 'constant', 'head_lr_mult': 1.0, 'conv_lr_mult': 1.0,
        'transform': 'heated_up', 'metric': 'cosine'},
}

CONSTANTS = {
    'heated_softmax': {'sgd': {'form': 'tfmomentum'},
                       'rmsprop': {'form': 'tfrmsprop', 'decay': 0.9, 'momentum': 0.9, 'epsilon': 1.0},
                       'adam': {'epsilon': 0.01}},
}
