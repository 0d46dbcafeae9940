"""DeepEmbedding: margin loss, N-pair and the losses that the repository names (the triplet family, HDC)."""

# The program of the margin loss; the repository cites FaceNet and In Defense without implementing them.
MARGIN = {'lr': 1e-4, 'wd': 1e-4, 'optim': 'adam', 'momentum': 0.9, 'batch_size': 70, 'num_instances': 5, 'epochs': 20,
          'image_size': 224, 'embed_dim': 128, 'backbone': 'resnet50_v2', 'lr_schedule': 'multifactor_epoch',
          'lr_decay_epochs': [12, 14, 16, 18], 'lr_decay_factor': 0.5, 'head_lr_mult': 1.0, 'conv_lr_mult': 0.01,
          'transform': 'margin'}

DEFAULTS = {
    'margin': MARGIN,
    'triplet_semihard': MARGIN,
    'triplet_batchhard': MARGIN,
    # ORIGINAL: the learning rate falls to a fifth after every single epoch, so it is spent after about ten.
    'npair': {
        'lr': 1e-3, 'wd': 0.0, 'optim': 'sgd', 'momentum': 0.89, 'batch_size': 32, 'epochs': 800, 'image_size': 227,
        'embed_dim': 512, 'backbone': 'inception_v3', 'lr_schedule': 'multifactor_epoch',
        'lr_decay_epochs': list(range(1, 21)), 'lr_decay_factor': 0.2, 'head_lr_mult': 10.0, 'conv_lr_mult': 1.0,
        'transform': 'npair', 'ee_l2norm': False},
    'hdc': {
        # The authors' Cars196 settings: an epoch is one pass over their list of 5,000 batches.
        'lr': 1e-2, 'wd': 2e-4, 'optim': 'sgd', 'momentum': 0.9, 'batch_size': 100, 'num_instances': 10, 'epochs': 4,
        'image_size': 224, 'embed_dim': 384, 'backbone': 'googlenet', 'lr_schedule': 'multifactor_epoch',
        'lr_decay_epochs': [2], 'lr_decay_factor': 0.1, 'head_lr_mult': 10.0, 'conv_lr_mult': 1.0, 'bias_lr_mult': 2.0,
        'bias_wd_mult': 0.0, 'head_init': 'caffe_uniform', 'transform': 'hdc'},
}

CONSTANTS = {
    'margin': {'adam': {'epsilon': 1e-7}},
}
