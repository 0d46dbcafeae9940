"""Embedding Expansion: Ko and Gu, Augmentation in Embedding Space for Deep Metric Learning, CVPR 2020.

The authors publish one command, for HPHN on CARS196. Everything else of their tables is the same network, batch and
picture size (the table says so) with the settings below, which give every row the 96,000 updates of that command.
"""

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

# name: (loss, synthetic points, method in the table)
METHODS = {
    'ee_hphn': ('hphn_triplet', 2, 'EE + HPHN Triplet'), 'hphn': ('hphn_triplet', 0, 'HPHN Triplet'),
    'ee_triplet': ('triplet_semihard', 2, 'EE + Triplet'), 'triplet': ('triplet_semihard', 0, 'Triplet'),
    'ee_npair': ('npair', 2, 'EE + N-pair'), 'npair': ('npair', 0, 'N-pair'),
    'ee_lifted': ('lifted_structure', 2, 'EE + Lifted-Struct'), 'lifted': ('lifted_structure', 0, 'Lifted-Struct'),
    'ee_ms': ('multi_similarity', 2, 'EE + Multi-Similarity'), 'ms': ('multi_similarity', 0, 'Multi-Similarity'),
}
# The flags of the authors' README.
README = {'batch_size': 128, 'num_instances': 32, 'image_size': 227, 'embed_dim': 512, 'backbone': 'googlenet',
          'pretrained': True, 'optim': 'adam', 'lr': 1e-4, 'wd': 5e-4, 'lr_schedule': 'multifactor_iteration',
          'lr_decay_epochs': [400, 800, 1200, 1600], 'lr_decay_factor': 0.5, 'epochs': 4000, 'eval_epoch_term': 5,
          'transform': 'embedding_expansion', 'recallk': [1, 2, 4, 8], 'seed': 0}
# data set: (table, flags that differ there, those of a loss that draws pairs)
DATA = {
    'cars196': ('results table b (README picture)', {},
                {'epochs': 1548, 'lr_decay_epochs': [155, 310, 464, 619], 'eval_epoch_term': 2}),
    'cub200': ('results table a (README picture)', {},
               {'epochs': 2133, 'lr_decay_epochs': [213, 427, 640, 853], 'eval_epoch_term': 3}),
    # 5.3 images a class: 4 in a batch, not 32.
    'sop': ('results table c (README picture)',
            {'num_instances': 4, 'epochs': 272, 'lr_decay_epochs': [27, 54, 82, 109], 'recallk': [1, 10, 100]},
            {'epochs': 206, 'lr_decay_epochs': [21, 41, 62, 82], 'recallk': [1, 10, 100]}),
}
OF_LOSS = {
    'hphn_triplet': {'ee_l2norm': True, 'margin': 1e-5},
    'lifted_structure': {'ee_l2norm': True},
    'triplet_semihard': {'ee_l2norm': True, 'sampler': 'pk_ee', 'conv_lr_mult': 1.0},
    'multi_similarity': {'ee_l2norm': True, 'sampler': 'pk_ee', 'lr': 1e-5},
    'npair': {'ee_l2norm': False, 'num_instances': None, 'head_lr_mult': 1.0, 'head_init': 'xavier'},
}
NOTES = {
    'triplet': 'the figure is quoted from other papers; which triplets it mines is not stated, here semi-hard ones',
    'ee_triplet': 'which triplets the paper mines is not stated, here semi-hard ones',
}
# The authors' own run of the row, in their README.
ALSO = {
    ('cars196', 'ee_hphn'): [('README (repo)', 'EE + HPHN Triplet, n_inner_pts=2, best of repo run'),
                             ('README figure (repo)', 'EE + HPHN Triplet n=2')],
    ('cars196', 'hphn'): [('README figure (repo)', 'HPHN Triplet n=0')],
}


def _flags(loss, points, data):
    flags = {'loss': loss, 'n_inner_pts': points, **README, **DATA[data][1], **OF_LOSS[loss]}
    if loss == 'npair':
        flags.update(DATA[data][2])
    return {key: value for key, value in flags.items() if value is not None}


ROWS = [{'name': name, 'data': data, 'flags': _flags(loss, points, data),
         'published': [(DATA[data][0], method), *ALSO.get((data, name), [])], 'note': NOTES.get(name, '')}
        for data in DATA for name, (loss, points, method) in METHODS.items()]
