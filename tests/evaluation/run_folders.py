"""Run folders as training leaves them, and what reads the report made of them."""

import argparse
import html.parser
import json

from commands import report as command

ARGS = {'loss': 'hphn_triplet', 'n_inner_pts': 2, 'ee_l2norm': True, 'data_name': 'cars196', 'data_dir': '',
        'backbone': 'googlenet', 'pretrained': True, 'image_size': 227, 'embed_dim': 512, 'batch_size': 128,
        'num_instances': 32, 'optim': 'adam', 'lr': 1e-4, 'wd': 5e-4, 'lr_decay_epochs': [400, 800, 1200, 1600],
        'lr_decay_factor': 0.5, 'epochs': 4000, 'transform': 'embedding_expansion', 'crop_box': False}


def make_run(folder, seed=0, recall=0.5, best=0.6, val=None, frozen=None, commit='abc123', log=False,
             **changes):
    """A finished run folder as the training loop leaves it."""
    folder.mkdir(parents=True)
    args = dict(ARGS, seed=seed, save_dir=str(folder), **changes)
    flags = {'loss': args['loss'], 'n_inner_pts': args['n_inner_pts'], **changes}
    argv = [f'--{key}={value}' for key, value in flags.items()]
    argv += ['--seed', str(seed), f'--save_dir={folder}']
    selection = {'last': part(recall, 7), 'best_on_test': part(best, 5),
                 'chosen_on_validation': None if val is None else part(val, 6)}
    result = {'recall': selection['last']['recall'], 'best_recall': selection['best_on_test']['recall'], 'epoch': 7,
              'best_epoch': 5, 'selection': selection, 'loss': 0.1, 'data_name': args['data_name'], 'args': args,
              'commit': commit, 'iterations': 198, 'images_per_second': 20.0 + seed, 'seconds': 100.0 + seed,
              'command': 'python3 main.py',
              'baselines': {} if frozen is None else {'raw pixels': {'1': 0.1},
                                                      'frozen trunk, pooled features': {'1': frozen, '2': frozen + .1}}}
    (folder / 'result.json').write_text(json.dumps(result))
    (folder / 'args.json').write_text(json.dumps(dict(args, argv=argv)))
    lines = [{'kind': 'step', 'step': 3, 'loss': 1.0}, {'kind': 'epoch', 'epoch': 7, 'step': 9, 'seconds': 99.0}]
    if log:  # drawing a curve takes time: only where it is looked at
        lines[-1]['recall'] = {'1': recall}
    (folder / 'log.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return folder


def part(recall, epoch):
    return {'recall': {'1': recall, '2': recall + 0.05, '10': recall + 0.1}, 'nmi_arithmetic': recall + 0.01,
            'mean_rank': 17.0, 'n_query': 99, 'lone_queries': 1, 'epoch': epoch}


def run_report(*folders, **flags):
    parser = argparse.ArgumentParser()
    command.add_args(parser)
    argv = [str(folder) for folder in folders]
    for key, value in flags.items():
        argv += [f'--{key}={value}'] if value is not True else ['--' + key]
    return command.run(parser.parse_args(argv))


def rows_of(markdown):
    """Cells of all Markdown table lines."""
    return [[cell.strip() for cell in line.strip('|').split(' | ')] for line in markdown.splitlines()
            if line.startswith('|')]


class Cells(html.parser.HTMLParser):
    """Rows of cell texts, and data URIs, of an HTML page; unbalanced tags fail."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.uris, self.open, self.links = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [value for key, value in attrs.items() if key in ('href', 'src')]
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ('td', 'th'):
            self.rows[-1][-1] += data
