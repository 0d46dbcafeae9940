"""Boosting Standard Classification Architectures Through a Ranking Regularizer: Taha et al., WACV 2020."""

DEFAULTS = {
    'softmax_ranking': {
        'lr': 0.01, 'wd': 0.0, 'optim': 'sgd', 'momentum': 0.9, 'batch_size': 32, 'num_instances': 4,
        'train_iters': 40000, 'lr_schedule': 'poly', 'end_learning_rate': 0.0, 'image_size': 224, 'embed_dim': 256,
        'backbone': 'resnet50_v2', 'transform': 'ranking_batch'},
}

CONSTANTS = {
    'softmax_ranking': {'sgd': {'form': 'tfmomentum'}},
}
