"""Local Sampling: Nguyen and De Baets, stochastic symmetric triplet loss, Neurocomputing 2020."""

PROGRAM = {'lr': 1e-4, 'wd': 1e-4, 'optim': 'adam', 'batch_size': 256, 'n_targets': 5, 'epochs': 150, 'image_size': 224,
           'embed_dim': 512, 'backbone': 'bninception', 'lr_schedule': 'plateau', 'lr_decay_factor': 0.5,
           'patience': 5, 'early_stopping': 15, 'head_lr_mult': 10.0, 'conv_lr_mult': 1.0,
           'transform': 'local_sampling'}

DEFAULTS = {
    'sst': PROGRAM,
    'triplet_local': PROGRAM,
    'contrastive': PROGRAM,
}
