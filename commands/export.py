"""`python3 main.py export`: a trained network, or a pretrained trunk, as a file that needs no MXNet."""

import pathlib

import numpy as np

import datasets
from commands import layers
from core.errors import UserError
from core.files import check_writable, read_json
from core.flags import bounded
from datasets import views
from datasets.pictures import SUFFIXES
from engine import checkpoint
from serving import export as exporting
from serving.engines import PRETRAINED, MXNet, ONNXRuntime, OpenVINO
from serving.quantize import to_int8

CHECKED, CALIBRATED = 16, 128          # pictures on which both networks must agree; on which int8 is calibrated


def add_args(group):
    """Flags of `export`."""
    group.add_argument('--checkpoint', default='', metavar='RUN',
                       help='run folder, checkpoint folder or parameter file; empty: the pretrained trunk alone')
    group.add_argument('--which', choices=('best', 'last'), default='last', help='which checkpoint of the run')
    group.add_argument('--format', choices=tuple(exporting.FORMATS), default='onnx',
                       help='onnx: one file for ONNX Runtime and OpenVINO; symbol: for gluon.SymbolBlock.imports; npz: '
                            'plain arrays')
    group.add_argument('--output', default='', metavar='FILE',
                       help='file to write (symbol: the beginning of the names); empty: RUN/net.onnx and so on')
    group.add_argument('--precision', choices=('float32', 'bfloat16', 'int8'), default='float32',
                       help='onnx: bfloat16 asks OpenVINO for arithmetic in half the bits, int8 writes eight-bit '
                            "weights calibrated on training images; both print what they cost in Recall@1 on the run's "
                            'test set')
    group.add_argument('--images', default='', metavar='DIR',
                       help="folder of photos to check and calibrate with, in place of the run's own images")
    group.add_argument('--backbone', default=PRETRAINED, metavar='NAME', help='without --checkpoint: the trunk')
    group.add_argument('--image_size', type=bounded(int, 1), default=None,
                       help='without --checkpoint: side of the pictures; default: that of the weights')


def run(args):
    """`export [--checkpoint=RUN]`. Returns the exit status."""
    network, folder = source(args)
    data, facts = run_data(folder, args.images)
    output = args.output or str((checkpoint.run_of(folder) if folder else pathlib.Path('.')) / (
        'net' if folder else args.backbone)) + exporting.FORMATS[args.format]
    if args.format == 'onnx' and not output.endswith('.onnx'):
        raise UserError(f'--output={output}: the name of an ONNX file must end in .onnx. Fix: --output=NAME.onnx')
    if args.format != 'onnx' and args.precision != 'float32':
        raise UserError(f'--precision={args.precision} is for --format=onnx, not {args.format}. '
                        'Fix: leave one of the two out')
    check_writable(output, '--output')
    net = network.embedder.net
    net.transform = network.transform
    batch = pictures(network, data, args.images, CHECKED) if args.format == 'onnx' else None
    files, apart = exporting.export(net, output, args.format, batch, facts)
    if apart is not None:
        print(f'ONNX Runtime and MXNet differ by {apart:.1e} at most on {len(batch)} pictures '
              f'(allowed: {exporting.TOLERANCE:.0e})')
    if args.precision != 'float32':
        lower(args.precision, output, network, data, args.images)
    print(f'{net.backbone}, {network.dim} numbers, {net.size} px through the view {network.transform} -> '
          f'{", ".join(files)}')
    return 0


def source(args):
    """(MXNet engine, checkpoint folder or None)."""
    if args.checkpoint and not pathlib.Path(args.checkpoint).is_file():
        checkpoint.locate(args.checkpoint, args.which)      # refuses before MXNet is loaded
    import models
    if args.checkpoint:
        embedder = models.load(args.checkpoint, args.which)
        path = pathlib.Path(args.checkpoint)
        folder = None if path.is_file() else checkpoint.locate(args.checkpoint, args.which)
        return MXNet(embedder.net, embedder.transform), folder
    return MXNet(models.build(args.backbone, head='pooled', pretrained=True, image_size=args.image_size,
                              transform='margin')), None


def run_data(folder, images):
    """(Data of the run or None, facts of the run for the metadata)."""
    if folder is None:
        return None, {}
    flags, state = checkpoint.read_args(folder), checkpoint.read_state(folder)
    facts = {'loss': flags.get('loss'), 'data': flags.get('data_name'), 'seed': flags.get('seed'),
             'flags': flags, 'epoch': state.get('epoch'), 'last': state.get('last'), 'best': state.get('best')}
    result = checkpoint.run_of(folder) / 'result.json'
    if result.is_file():
        told = read_json(result)
        facts.update({key: told[key] for key in ('commit', 'command', 'recall', 'best_recall') if key in told})
    if images:
        return None, facts
    try:
        return datasets.from_args(layers.training_parser([], flags).parse_args([])), facts
    except UserError as error:
        print(f"note: the run's images cannot be read ({error})")
        return None, facts


def pictures(network, data, images, count, part='test'):
    """uint8 (n, S, S, 3) that the network may meet: of --images, of the run's data, or, without any, drawn letters."""
    items = []
    if images:
        items = sorted(path for path in pathlib.Path(images).rglob('*') if path.suffix.lower() in SUFFIXES)
        if not items:
            raise UserError(f'--images={images}: there is no picture in this folder. '
                            'Fix: a folder of photos like those to search')
    elif data is not None:
        split = getattr(data, part) or data.test
        items = range(len(split))
    if not items:
        print('note: no photos are at hand (--images=DIR), so drawn letters are taken in their place')
        data, part = datasets.load('glyphs'), 'test'
        split = data.test
        items = range(len(split))
    chosen = np.random.RandomState(0).permutation(len(items))[:count]
    found = [items[i] if images else split.read(i) for i in chosen]
    return np.concatenate(list(views.batches(found, network.view)))


def lower(precision, output, network, data, images):
    """Make `output` a file of lower precision, and print what that costs."""
    exact = ONNXRuntime(output)
    if precision == 'int8':
        batch = pictures(network, data, images, CALIBRATED, 'train')
        to_int8(output, output, [batch[i:i + 8] for i in range(0, len(batch), 8)])
        cheap = ONNXRuntime(output)
    else:
        set_precision(output, precision)
        cheap = OpenVINO(output)
    if data is None or data.pairs is not None:
        print(f'note: what {precision} costs in Recall@1 is measured on the test set of a run, and there is none here')
        return
    test = data.test
    scores = [recall(engine, test) for engine in (exact, cheap)]
    print(f'Recall@1 on the {len(test)} test images: float32 {scores[0]:.4f}, {precision} {scores[1]:.4f} '
          f'({scores[1] - scores[0]:+.4f})')


def set_precision(file, precision):
    """Note in a file's metadata which arithmetic it wants."""
    import onnx
    model = onnx.load(file)
    told = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, dict(told, precision=precision))
    onnx.save(model, file)


def recall(engine, split):
    """Recall@1 of an engine on a split, as `evaluate` scores it."""
    from evaluation import protocols
    rows = []
    for start in range(0, len(split), 64):
        rows.append(engine.embed([split.read(i) for i in range(start, min(start + 64, len(split)))]))
    return protocols.retrieval(np.concatenate(rows), split.labels, [1], query=split.query)['recall']['1']
