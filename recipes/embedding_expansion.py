"""Embedding Expansion: Ko and Gu, Augmentation in Embedding Space for Deep Metric Learning, CVPR 2020."""

# ORIGINAL: what its program really did, whatever its flags said (Adam, GoogLeNet, hinge).
PROGRAM = {'lr': 1e-4, 'wd': 5e-4, 'optim': 'adam', 'batch_size': 128, 'num_instances': 32, 'epochs': 5000,
           'eval_epoch_term': 50, 'image_size': 227, 'embed_dim': 512, 'backbone': 'googlenet',
           'lr_schedule': 'multifactor_iteration', 'lr_decay_epochs': [10, 20, 40, 80], 'lr_decay_factor': 0.5,
           'transform': 'embedding_expansion'}

DEFAULTS = {
    'hphn_triplet': PROGRAM,
    # The paper puts its stage on this loss too; the authors release no program for it: HPHN's settings.
    'lifted_structure': PROGRAM,
    # The settings of its own paper: Wang et al., CVPR 2019.
    'multi_similarity': {
        'lr': 1e-5, 'wd': 5e-4, 'optim': 'adam', 'batch_size': 80, 'num_instances': 5, 'image_size': 224,
        'embed_dim': 512, 'backbone': 'inception_bn', 'lr_schedule': 'constant', 'transform': 'embedding_expansion'},
}
