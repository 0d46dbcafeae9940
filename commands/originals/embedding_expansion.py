"""Embedding Expansion (clovaai/embedding-expansion): its flags are this suite's."""

from commands.originals.script import Script, gpus, same

NAMES = ('lr_decay_factor', 'epochs', 'save_dir', 'base_lr_mult', 'beta', 'sigma', 'alpha', 'eval_epoch_term', 'lr',
         'image_size', 'start_epoch', 'data_dir', 'summary_step', 'wd', 'embed_dim', 'seed', 'batch_size',
         'lr_decay_epochs', 'n_inner_pts', 'ee_l2norm', 'margin', 'num_workers', 'num_instances', 'recallk', 'kvstore',
         'optim', 'momentum', 'data_name', 'backbone', 'loss', 'soft_margin')

SCRIPTS = {
    'main': Script([gpus('--gpu_idx'), *(same('--' + name) for name in NAMES)],
                   ('--loss=hphn_triplet', '--data_name=cars196')),
}
