"""Stochastic symmetric triplets with local sampling (bacnguyencong/deepml): train.py and test.py."""

from commands.originals.script import Flag, Script, choice, same, stands, switch

DATA = choice('--data', values={'Cub': ['--data_name=cub200'], 'Stanford': ['--data_name=sop'],
                                'Car': ['--data_name=cars196']})
LOSSES = {'SSTLoss': ['--loss=sst'], 'TripletLoss': ['--loss=triplet_local'], 'ContrastiveLoss': ['--loss=contrastive']}
RUN = "the run's own is used"


def pretrained(value):
    """-p imagenet, or none."""
    if value in ('imagenet', 'imagenet+background'):
        return ['--pretrained=true'], ''
    return ['--pretrained=false'], '' if value.lower() in ('none', '') else 'only ImageNet weights are known'


SCRIPTS = {
    'train': Script([
        DATA, same('-a', '--arch', to='backbone'),
        Flag(('-p', '--pretrained'), 'word', pretrained, off=['--pretrained=true']),
        choice('-l', '--loss', values=LOSSES, off=LOSSES['SSTLoss']),
        same('-img_size', '--img_size', to='image_size'), same('-n_targets', '--n_targets', to='n_targets'),
        same('-j', '--workers', to='num_workers'), same('--epochs'), same('--outdim', to='embed_dim'),
        same('-b', '--batch_size', to='batch_size'), same('--lr', '--learning_rate', to='lr'),
        same('--wd', '--weight_decay', to='wd'), same('--seed'), switch('--normalized', on=['--normalized']),
    ], ('--sampler=local',), signs=[f'{flag} {name}' for flag in ('--loss', '-l') for name in LOSSES]
        + ['--data Cub', '--data Stanford', '--data Car']),
    'test': Script([
        DATA, same('-c', '--checkpoint', to='checkpoint'), stands('-a', '--arch', note=RUN),
        stands('-p', '--pretrained', note=RUN), same('-img_size', '--img_size', to='image_size'),
        same('-j', '--workers', to='num_workers'), stands('--outdim', note=RUN),
        same('-b', '--batch_size', to='test_batch_size'), same('--seed'), switch('--normalized', note=RUN),
    ], ('--nmi', '--clustering=local_sampling'), ('evaluate',)),
}
