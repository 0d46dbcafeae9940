"""Local Sampling: Nguyen and De Baets, stochastic symmetric triplet loss, Neurocomputing 2020."""

# ORIGINAL: the last layer is never trained, a fixed random projection of the trunk. The program means to give it ten
# times the learning rate (--head_lr_mult=10), but uses up the generator of its parameters before the optimizer sees it.
PROGRAM = {'lr': 1e-4, 'wd': 1e-4, 'optim': 'adam', 'batch_size': 256, 'n_targets': 5, 'epochs': 150, 'image_size': 224,
           'embed_dim': 512, 'backbone': 'bninception', 'lr_schedule': 'plateau', 'lr_decay_factor': 0.5,
           'patience': 5, 'early_stopping': 15, 'head_lr_mult': 0.0, 'head_init': 'torch_linear',
           'conv_lr_mult': 1.0,
           'transform': 'local_sampling'}

DEFAULTS = {
    'sst': PROGRAM,
    'triplet_local': PROGRAM,
    'contrastive': PROGRAM,
}

# jobs.sh and its history.
JOBS = {'sampler': 'local', 'n_targets': 5, 'recluster': 1, 'backbone': 'bninception', 'pretrained': True,
        'image_size': 224, 'embed_dim': 512, 'transform': 'local_sampling', 'batch_size': 200, 'optim': 'adam',
        'lr': 1e-4, 'wd': 1e-4, 'head_lr_mult': 0.0, 'lr_schedule': 'plateau', 'lr_decay_factor': 0.5, 'patience': 5,
        'early_stopping': 15, 'eval_epoch_term': 5}
DATA = {'sop': {'epochs': 200, 'recallk': [1, 10, 100, 1000]}, 'cub200': {'epochs': 150, 'recallk': [1, 2, 4, 8]},
        'cars196': {'epochs': 200, 'recallk': [1, 2, 4, 8]}}
METHODS = {
    'sst': ({'loss': 'sst'}, ''),
    'sst_head10': ({'loss': 'sst', 'head_lr_mult': 10.0}, "the authors' intention: the last layer learns ten times "
                                                          'faster'),
    'triplet_local': ({'loss': 'triplet_local'}, ''),
    'contrastive': ({'loss': 'contrastive'}, "no command of the authors: SST's settings"),
}
# The one command of jobs.sh that trains the triplet loss is for Online Products; elsewhere it has SST's settings.
OWN = {('sop', 'triplet_local'): {'epochs': 150}}
# The paper's result tables were not available to us.
NONE = [('result tables', 'SST + local sampling')]
ROWS = [{'name': name, 'data': data, 'flags': {**JOBS, **DATA[data], **flags, **OWN.get((data, name), {})},
         'note': note, 'published': NONE if 'sst' in name else []}
        for data in DATA for name, (flags, note) in METHODS.items()]
