"""The published command lines of the five original programs, unchanged after `python3 main.py`."""

import json
import os

import pytest

import datasets
import main
from commands import cli, layers, originals
from core.errors import UserError

INCEPTION = ('--dataset car196 --data_dir ./data/car196/ --log_dir ./Inception_log/ --model_dir ./Inception_model/ '
             '--base_network_file ./data/model/inception_v1.ckpt --optimizer SGD --learning_rate 0.004 --normed_test '
             '--data_augment --nb_epoch 80 --gpu-id 0 ')
LENET = '--nb_epoch 100 --l2_norm --norm_weights --learning_rate .001 --draw --gpu-id 1 '
EBAY = '--use_pretrained --use_viz --gpus=0,1 --batch-k=2 --batch-size=80 --epochs=55 '
RANKING = ('--db_name=aircrafts --net=resnet50 --margin=0.2 --learning_rate=0.01 --caffe_iter_size=1 '
           '--logging_threshold=500 --train_iters=40000 --aug_style=img --gpu=0 '
           '--checkpoint_suffix=_lm1_aug_img_fixed_299_0 ')
JOBS = '--data={} -a bninception --loss={} --lr=1e-4 --outdim=512 -b 200 --epochs={} -n_targets=5 '

# (command line, flags of this suite that it must end in)
LINES = [
    # Heated-Up Softmax: the launcher's six settings, birds, eBay, the MNIST maps
    (INCEPTION + '--alpha 1.0', dict(loss='heated_softmax', lr=0.004, optim='sgd', epochs=80, transform='heated_up',
                                     data_name='cars196', pretrained=True, clustering='heated_up', nmi=True)),
    (INCEPTION + '--alpha 1.0 --label_smoothing', dict(label_smoothing=0.1)),
    (INCEPTION + '--alpha 16 --bn --norm_weights', dict(bn=True, norm_weights=True, alpha=16.0, heat_up=False)),
    (INCEPTION + '--alpha 16 --bn --norm_weights --heat_up --nb_hu_epoch 20', dict(heat_up=True, nb_hu_epoch=20)),
    (INCEPTION + '--alpha 16 --l2_norm --norm_weights', dict(l2_norm=True, bn=False)),
    (INCEPTION + '--alpha 16 --l2_norm --norm_weights --heat_up', dict(l2_norm=True, heat_up=True)),
    (INCEPTION.replace('car196', 'bird200'), dict(data_name='cub200')),
    ('--dataset ebay --data_dir ./data/ebay/ --optimizer ADAM --learning_rate 0.01 --better_init --fast_kmeans '
     '--normed_test --data_augment --nb_epoch 80', dict(data_name='sop', optim='adam', better_init=True, lr=0.01,
                                                        clustering='fast_kmeans')),
    ('deep_metric_learning_Inception.py', dict(transform='heated_up_center', sampler='sequential', epochs=60,
                                               optim='rmsprop', embed_dim=64, batch_size=32, pretrained=True)),
    ('metric_learning_lenet.py ' + LENET + '--alpha 16 --heat_up', dict(
        data_name='mnist', lr=0.001, epochs=100, embed_dim=2, heat_up=True, alpha=16.0, draw=True, batch_size=128,
        last_batch='discard', pretrained=False)),
    *(('metric_learning_lenet.py ' + LENET + f'--alpha {alpha}', dict(alpha=alpha)) for alpha in (.25, 4, 16, 32, 64)),
    # DeepEmbeding: its shell recipes
    ('--from=deep_embedding train_mx_ebay_margin.py --data=CUB_200_2011 --batch-k=5 --batch-size=70 --epochs=30 '
     '--steps=12,16,20,24 --use_pretrained --use_viz --name=cub200 --gpus=0',
     dict(loss='margin', data_name='cub200', crop_box=True, blocks='cub', num_instances=5, batch_size=70, seed=123,
          lr_decay_epochs=[12, 16, 20, 24], pretrained=True, transform='margin_simple')),
    (EBAY + '--data=EbayInClass --name=ebay_in', dict(data_name='sop', blocks='ebay_in', batch_size=80, epochs=55)),
    (EBAY + '--data=EbayCrossClass --name=ebay_cross', dict(data_name='sop', blocks='ebay_cross')),
    ('--data=DeepFashionInClass --batch-k=4 --batch-size=100 --use_pretrained --use_viz --epochs=40 '
     '--steps=14,16,20,30 --name=Fashion_In --load_model_path=checkpoints/Fashion_In.params',
     dict(data_name='inshop', blocks='fashion_in', crop_box=True, num_instances=4, lr_decay_epochs=[14, 16, 20, 30])),
    ('--data=DeepFashionCrossClass --use_viz', dict(data_name='inshop', blocks='fashion_cross', pretrained=False)),
    ('train_mx_margin.py --data-path=data/CUB_200_2011 --embed-dim=128 --batch-size=70 --batch-k=5 --gpus= '
     '--optimizer=adam --lr=1e-4 --lr-beta=.1 --margin=.2 --beta=1.2 --nu=0 --factor=.5 --wd=1e-4 --model=resnet50_v2 '
     '--save-model-prefix=margin_loss_model --use_pretrained --kvstore=device --log-interval=20',
     dict(transform='margin', lr_beta=0.1, beta=1.2, summary_step=20, embed_dim=128,
          data_dir=os.path.abspath('data/CUB_200_2011'))),
    ('train_margin_cub.py --data_path data/cub200_2011 --batch_size 70 --batch_k 5 --gpu_id 0 --epochs 100 '
     '--optimizer adam --lr 1e-4 --steps 30,50,100,300 --print_freq 20', dict(
         backbone='resnet50_v1', optim='sgd', momentum=0.89, wd=0.0, lr_decay_epochs=[30, 50, 100, 300])),
    ('train_mc_npair.py train --lr=0.001 --max_epoch=800 --batch_size=32 --embeding_size=512 --use_viz=True '
     '--model_name=DMLGoogle --vis_env=Street2shop', dict(loss='npair', super_share=0.9, epochs=800, optim='sgd')),
    # Ranking regularizer
    *((RANKING + f'--train_mode={mode}', dict(
        train_mode=mode, data_name='aircraft', transform='ranking_img', summary_step=500, lr_schedule='poly',
        sampler='random' if mode == 'vanilla' else 'ranking')) for mode in ('semi_hard', 'hard', 'vanilla')),
    ('--from=ranking_regularizer main.py', dict(train_mode='semi_hard', data_name='aircraft', train_iters=40000)),
    ('--db_name=flowers --emb_dim=256 --aug_style=batch --Triplet_K=4 --train_mode=cntr --frame_size=224 '
     '--tuple_loader_queue_size=10 --test_interval=10 --checkpoint_filename=model.ckpt --log_filename=logger',
     dict(data_name='flowers102', transform='ranking_batch', summary_step=500, eval_iter_term=5000)),
    (RANKING.replace('threshold=500', 'threshold=200') + '--test_interval=3', dict(summary_step=200,
                                                                                   eval_iter_term=600)),
    # deepml: jobs.sh and its history
    *((JOBS.format(data, loss, epochs), dict(data_name=name, loss=ours, sampler='local', batch_size=200, epochs=epochs,
                                             embed_dim=512, pretrained=True))
      for data, name, epochs in (('Cub', 'cub200', 150), ('Car', 'cars196', 200), ('Stanford', 'sop', 150))
      for loss, ours in (('SSTLoss', 'sst'), ('TripletLoss', 'triplet_local'), ('ContrastiveLoss', 'contrastive'))),
    ('--data Cub -a bninception -p imagenet -l SSTLoss -img_size 224 -j 4 --wd 1e-4 --seed 1 --normalized',
     dict(normalized=True, image_size=224, num_workers=4, seed=1)),
    # Embedding Expansion: the README's line
    ('--from=embedding_expansion --lr_decay_epochs=400,800,1200,1600 --epochs=4000 --eval_epoch_term=5 --gpu_idx=0 '
     '--data_dir=data/CARS_196 --soft_margin=t', dict(loss='hphn_triplet', data_name='cars196', eval_epoch_term=5)),
]


@pytest.mark.parametrize('line, expected', LINES, ids=range(len(LINES)))
def test_a_published_command_line_runs_unchanged(line, expected, capsys):
    assert main.main([*line.split(), '--dry_run']) == 0, capsys.readouterr().err
    printed = capsys.readouterr()
    flags = json.loads(printed.out)
    flags['data_name'] = datasets.resolve(flags['data_name'])
    assert {key: flags[key] for key in expected} == expected
    assert 'is here: python3 main.py --' in printed.err


def test_what_stands_in_the_place_of_a_flag_is_said(capsys):
    main.main([*(EBAY + '--data=EbayInClass --name=x').split(), '--dry_run'])
    said = capsys.readouterr().err.splitlines()
    assert 'original: --use_viz: TensorBoard is always written, in the run folder; there is no Visdom' in said
    assert sum('--gpus=0,1' in line for line in said) <= 1
    main.main(['--from=heated', *INCEPTION.split(), '--dry_run'])
    assert '--from=heated is unknown. Did you mean' in capsys.readouterr().err


def test_programs_that_have_no_place_here_say_so():
    for line, words in ((['train_hash.py'], 'no metric learning'), (['run_Inception.py'], 'heated_up_softmax.sh'),
                        (['run_mnist_lenet.py'], 'heated_up_mnist.sh'),
                        (['--from=ranking_regularizer', '--train_mode=hard_awtl'], 'does not implement it'),
                        (['--from=local_sampling', '--data=Dogs'], 'Legal values: Cub, Stanford, Car'),
                        (['train_mc_npair.py', 'compute'], 'embed --checkpoint=RUN'),
                        (['train_mc_npair.py', 'trian'], 'Did you mean train'),
                        (['fast_fgvr_semi_train.py', '--test_interval=x'], '--test_interval=x is not a whole number'),
                        (['--from=local_sampling', '--normalized=maybe'], '--normalized=maybe: neither true nor false'),
                        (['main.py'], 'of 2 of the original systems'), (['x.py'], 'of 0 of the original systems')):
        with pytest.raises(UserError, match=words):
            cli.parse(line)


def test_command_lines_of_this_suite_are_left_alone():
    own = layers.own_flags()
    for line in (['--loss=margin', '--data_name=cub200'], ['--no_such_flag=1'], ['evaluate', '--checkpoint=runs/x'], [],
                 ['--lr', '-1'], ['--loss=heated_softmax', '--alpha=4', '--epochs=3']):
        assert originals.translate(line, own) == line


def test_the_launchers_folder_of_all_data_sets_is_understood(tmp_path, capsys):
    (tmp_path / 'data' / 'sop').mkdir(parents=True)
    for dataset, folder in (('ebay', 'data/sop'), ('bird200', 'data')):
        _, args = cli.parse(f'{INCEPTION} --dataset={dataset} --data_dir={tmp_path}/data'.split())
        assert args.data_dir == str(tmp_path / folder)


def test_the_converters_are_prepare(monkeypatch):
    words = originals.translate(['bird200.py', '--data_dir=/tmp/x', '--save_dir=./data/'], layers.own_flags())
    assert words == ['prepare', '--data_name=cub200', '--data_dir=/tmp/x']
    words = originals.translate('--from=local_sampling test.py --data Cub -c runs/a -b 64'.split(), layers.own_flags())
    assert words[0] == 'evaluate' and {'--checkpoint=runs/a', '--test_batch_size=64', '--nmi'} <= set(words)
