"""Settings of our own for a folder of photos: Embedding Expansion's loss and batches on a small network.

Chosen on the crops of CUB-200 (2010), with 20 of its training classes held out: the first line of docs/results.md.
"""

SETTINGS = {'loss': 'hphn_triplet', 'n_inner_pts': 2, 'data_name': 'folder', 'backbone': 'mobilenet0.5',
            'pretrained': True, 'image_size': 128, 'embed_dim': 512, 'batch_size': 128, 'sampler': 'pk_ee',
            'num_instances': 32, 'optim': 'adam', 'lr': 3e-4, 'wd': 5e-4, 'lr_schedule': 'multifactor_epoch',
            'lr_decay_epochs': [5, 7], 'lr_decay_factor': 0.2, 'epochs': 8, 'eval_epoch_term': 2, 'baselines': True}
