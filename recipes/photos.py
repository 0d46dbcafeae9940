"""Settings of our own for a folder of photos: a head on the frozen ImageNet trunk that a package carries.

Chosen among five losses by MAP@R on four folds of the training classes of CUB-200 (2010) crops and of Cars196 crops
(claims own_photos_birds and own_photos_cars of docs/evidence.md): semi-hard triplets were the best on both, 44.8 and
17.7 %, margin 43.7 and 17.2, LN 43.8 and 15.6, HPHN 43.1 and 14.4. The 500 updates were 14 epochs of the birds.
The trunk sees each photo once, so that a training takes seconds; --freeze_trunk=false trains it as well, with random
crops and mirroring.
"""

SETTINGS = {'loss': 'triplet_semihard', 'data_name': 'folder', 'backbone': 'efficientnet_lite0', 'pretrained': True,
            'freeze_trunk': True, 'image_size': 224, 'embed_dim': 512, 'batch_size': 64, 'num_instances': 4,
            'transform': 'embedding_expansion', 'optim': 'adam', 'lr': 1e-4, 'wd': 1e-5, 'head_lr_mult': 1,
            'conv_lr_mult': 1, 'lr_schedule': 'constant', 'epochs': 12, 'eval_epoch_term': 2, 'metric': 'cosine',
            'baselines': True}
