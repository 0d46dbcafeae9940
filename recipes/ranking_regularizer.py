"""Boosting Standard Classification Architectures Through a Ranking Regularizer: Taha et al., WACV 2020."""

DEFAULTS = {
    'softmax_ranking': {
        'lr': 0.01, 'wd': 0.0, 'optim': 'sgd', 'momentum': 0.9, 'batch_size': 32, 'num_instances': 4,
        'train_iters': 40000, 'lr_schedule': 'poly', 'end_learning_rate': 0.0, 'image_size': 224, 'embed_dim': 256,
        'backbone': 'resnet50_v2', 'head_init': 'glorot_uniform', 'transform': 'ranking_batch'},
}

CONSTANTS = {
    'softmax_ranking': {'sgd': {'form': 'tfmomentum'}},
}

# name: (flags, method in Table 2); softmax alone shuffles single images.
MODES = {
    'hard': ({'train_mode': 'hard', 'margin': 'soft', 'triplet_loss_lambda': 1.0, 'num_instances': 4},
             'Two-head hard'),
    'semi_hard': ({'train_mode': 'semi_hard', 'margin': 0.2, 'triplet_loss_lambda': 1.0, 'num_instances': 4},
                  'Two-head semi-hard'),
    'center': ({'train_mode': 'center', 'center_lambda': 0.003, 'center_alpha': 0.5, 'num_instances': 4},
               'Two-head center'),
    # What the program did: its centers never moved, because it compares a string with an Enum.
    'center_still': ({'train_mode': 'center', 'centers': 'still', 'center_lambda': 0.003, 'num_instances': 4},
                     'Two-head center'),
    'vanilla': ({'train_mode': 'vanilla', 'sampler': 'random'}, 'Softmax'),
}
# ending of the name: (trunk, updates, decay of its BatchNorm averages)
NETWORKS = {'': ('resnet50_v2', 40000, 0.997), '_inception_v4': ('inceptionv4', 80000, 0.9997),
            '_densenet161': ('densenet161', 40000, 0.999)}
DATA = ('aircraft', 'stanford_cars', 'flowers102', 'dogs', 'nabirds')
SETTINGS = {'loss': 'softmax_ranking', 'pretrained': True, 'image_size': 224, 'embed_dim': 256,
            'transform': 'ranking_img', 'batch_size': 32, 'caffe_iter_size': 1, 'optim': 'sgd', 'momentum': 0.9,
            'lr': 0.01, 'wd': 0.0, 'lr_schedule': 'poly', 'end_learning_rate': 0.0, 'summary_step': 500,
            'eval_iter_term': 5000, 'save_epoch_term': 40, 'recallk': [1, 4, 8, 16]}

ROWS = [{'name': name + ending, 'data': data,
         'flags': {**SETTINGS, 'backbone': backbone, 'train_iters': updates, 'trunk_bn_decay': decay, **flags},
         'published': [('Table 2', method)] + ([('Table 5', method)] if name != 'vanilla' else [])}
        for data in DATA for ending, (backbone, updates, decay) in NETWORKS.items()
        for name, (flags, method) in MODES.items()]
