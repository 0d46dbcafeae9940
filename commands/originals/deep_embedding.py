"""DeepEmbeding (hudengjunai): the margin loss in MXNet and PyTorch, N-pair; what has no place here says so."""

from commands.originals.script import Script, choice, folder, gpus, same, stands, switch

VISDOM = 'TensorBoard is always written, in the run folder; there is no Visdom'
MARGIN = [same('--embed_dim'), same('--batch_k'), same('--epochs'), same('--lr'), same('--lr_beta'), same('--margin'),
          same('--beta'), same('--nu'), same('--factor'), same('--steps'), same('--seed')]

MXNET = [
    *MARGIN, gpus('--gpus', several='--batch_size is of all GPUs together here, of each in the original'),
    same('--optimizer'), same('--wd'), same('--model'), same('--kvstore'),
    same('--log_interval'), folder('--save_model_prefix'),
    same('--batch_size'),
    switch('--use_pretrained', on=['--pretrained=true'], off=['--pretrained=false']),
]
MXNET_WORDS = ('--loss=margin', '--sampler=blocks', '--seed=123', '--summary_step=20', '--recallk=1,2,4,8,16')

EBAY = {
    'CUB_200_2011': ['--data_name=cub200', '--crop_box', '--blocks=cub'],
    'EbayInClass': ['--data_name=sop', '--blocks=ebay_in'],
    'EbayCrossClass': ['--data_name=sop', '--blocks=ebay_cross'],
    'DeepFashionInClass': ['--data_name=inshop', '--crop_box', '--blocks=fashion_in'],
    'DeepFashionCrossClass': ['--data_name=inshop', '--crop_box', '--blocks=fashion_cross'],
}

OUTSIDE = 'hashing, product types and database clients are no metric learning and not part of this suite'
# attributes of its global configuration that train_mc_npair.py reads
NPAIR = [
    same('--lr'), same('--max_epoch', to='epochs'),
    same('--batch_size'), same('--embeding_size', to='embed_dim'), same('--l2_reg'), same('--num_workers'),
    same('--momentum'), same('--print_freq', to='summary_step'), same('--ebay_dir', to='data_dir'), gpus('--gpu_id'),
    choice('--model_name', values={'DMLGoogle': ['--backbone=inception_v3']}),
    switch('--use_viz', note=VISDOM), stands('--vis_env', note=VISDOM), stands('--vis_host', note=VISDOM),
    stands('--vis_port', note=VISDOM), switch('--debug', note='nothing stops after one iteration: --train_iters=1'),
    switch('--use_gpu', note='a GPU is used where there is one (--gpu_idx)'),
    stands('--lr_step', note='without effect in the original too'),
    stands('--freeze_level', note='without effect in the original too'),
    *(stands('--' + name, note='of the product-type classifier alone')
      for name in ('num_classes', 'train_classify_dir', 'valid_classify_dir', 'persist')),
    *(stands('--' + name, note='the lists of the data set have their names')
      for name in ('n_pair_train', 'n_pair_test')),
    *(stands('--' + name, note='a run goes on by --resume=RUN, and is embedded by embed --checkpoint=RUN')
      for name in ('load_model_path', 'dml_model_path')),
]
# The first word of its command line.
EMBED = 'writes embeddings. Fix: python3 main.py embed --checkpoint=RUN'
NPAIR_VERBS = {'train': '', 'compute': EMBED, 'val': EMBED,
               'help': 'prints its settings. Fix: python3 main.py --loss=npair --help'}

SCRIPTS = {
    'train_mx_ebay_margin': Script([
        *MXNET,
        choice('--data', values=EBAY, off=EBAY['CUB_200_2011']),
        folder('--name'), switch('--use_viz', note=VISDOM),
        switch('--debug', note='nothing stops for a debugger here'),
        stands('--load_model_path', note='for its feature extraction alone: python3 main.py embed --checkpoint=RUN'),
    ], (*MXNET_WORDS, '--transform=margin_simple'), signs=[f'--data {name}' for name in EBAY if name[:3] != 'CUB']),
    'train_mx_margin': Script([*MXNET, same('--data_path', to='data_dir')],
                              (*MXNET_WORDS, '--data_name=cub200', '--crop_box', '--blocks=cub', '--transform=margin')),
    'train_margin_cub': Script([
        *MARGIN, same('--batch_size'), gpus('--gpu_id'), same('--print_freq', to='summary_step'),
        stands('--data_path', note='without effect in the original; here the folder is --data_dir'),
        stands('--optimizer', note='without effect in the original too, which trains with SGD'),
        stands('--wd', note='without effect in the original too'),
        switch('--debug', note='nothing stops for a debugger here'),
    ], ('--loss=margin', '--data_name=cub200', '--crop_box', '--sampler=blocks', '--blocks=cub', '--transform=margin',
        '--backbone=resnet50_v1', '--pretrained=true', '--optim=sgd', '--momentum=0.89', '--wd=0', '--epochs=100',
        '--steps=30,50,100,300', '--seed=123', '--summary_step=20', '--recallk=1,2,4,8,16')),
    'train_mc_npair': Script(NPAIR, ('--loss=npair', '--data_name=sop', '--super_share=0.9', '--summary_step=40',
                                    '--pretrained=true'), verbs=NPAIR_VERBS),
    'train_hash': Script(refused=OUTSIDE),
    'train_classify': Script(refused=OUTSIDE),
}
