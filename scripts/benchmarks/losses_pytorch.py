"""PyTorch's side of `benchmark.py losses`. Runs in a Python that has torch and pytorch-metric-learning.

Standalone on purpose: nothing of the project is imported, because torch is no dependency of it. Each function below
builds one loss from the benchmark's data; what it returns takes a batch and gives the loss. Its first docstring line
is what the table shows. Where the library's parameters allow it, value and gradient are those of our loss.
"""

import json
import sys
import time

import numpy as np
import torch
from pytorch_metric_learning import __version__, distances, losses, miners, reducers, regularizers
from torch.nn import functional

MEAN, SUM = reducers.MeanReducer, reducers.SumReducer


def euclidean(power=1):
    return distances.LpDistance(normalize_embeddings=False, power=power)


def squared_distances(x):
    square = (x * x).sum(1)
    return square[:, None] + square[None, :] - 2 * x @ x.T


def parameter(array):
    return torch.nn.Parameter(torch.from_numpy(array))


class Batch:
    """One batch: embedding and feature (leaves), label, pair_label, triplets."""

    def __init__(self, data, i):
        self.embedding = torch.from_numpy(data['embedding'][i]).requires_grad_()
        self.feature = torch.from_numpy(data['feature'][i]).requires_grad_()
        self.label, self.pair_label = torch.from_numpy(data['label']), torch.from_numpy(data['pair_label'])
        self.triplets = data['triplets'][i]


def contrastive(data):
    """library: ContrastiveLoss, squared distances, all pairs"""
    loss = losses.ContrastiveLoss(pos_margin=0, neg_margin=0.5, distance=euclidean(2), reducer=SUM())
    return lambda b: loss(b.embedding, b.label) / len(b.label)


def hdc(data):
    """written here: the library's miner cascades"""
    n, dim = data['embedding'].shape[1:]
    ends = np.cumsum([(dim + k) // 3 for k in range(3)]).tolist()
    row, column = torch.triu_indices(n, n, 1)

    def loss(b):
        same, total = b.label[row] == b.label[column], 0
        for begin, end, ratio in zip([0, *ends], ends, (1.0, 0.5, 0.2)):
            distance = squared_distances(b.embedding[:, begin:end])[row, column]
            positive, negative = distance[same], functional.relu(1 - distance[~same])
            positive = positive.topk(int(len(positive) * ratio)).values
            negative = negative.topk(int(len(negative) * ratio)).values
            count = len(positive) + 2 * (negative > 0).sum()
            value = (positive.sum() + 20 * negative.sum()) / count
            slope = (positive.sum() + 10 * negative.sum()) / (2 * count)          # the authors' gradient
            total = total + value.detach() + slope - slope.detach()
        return total
    return loss


def heated_softmax(data):
    """library: NormalizedSoftmaxLoss"""
    classes, dim = data['weight'].shape
    loss = losses.NormalizedSoftmaxLoss(classes, dim, temperature=1 / 16,
                                        distance=distances.DotProductSimilarity(normalize_embeddings=True))
    loss.W.data.copy_(torch.from_numpy(data['weight']).T)
    return lambda b: loss(b.embedding, b.label)


def hphn_triplet(points):
    """A function that builds HPHN with that many synthetic points."""
    def build(data):
        def expand(x):
            partner = x.reshape(-1, 2, x.shape[1]).flip(1).reshape(x.shape)
            between = [functional.normalize((k * partner + (points + 1 - k) * x) / (points + 1))
                       for k in range(1, points + 1)]
            return torch.cat([x, *between])

        def loss(b):
            n = len(b.label)
            distance = squared_distances(expand(b.embedding)).clamp(min=1e-12).sqrt()
            same = b.label[:, None] == b.label[None, :]
            far = distance[:n, :n].masked_fill(~same, 0).amax(1)
            near = distance.masked_fill(same.repeat(points + 1, points + 1), np.inf).amin(1)
            return torch.relu(far - near.reshape(points + 1, n).amin(0) + 1e-5).sum()
        return loss
    build.__doc__ = 'plain PyTorch' + ('; points that tie share the gradient' if points else '')
    return build


def lifted_structure(data):
    """library: LiftedStructureLoss"""
    loss = losses.LiftedStructureLoss(neg_margin=1, pos_margin=0, distance=euclidean(), reducer=MEAN())
    return lambda b: loss(b.embedding, b.label)


def margin(data):
    """library: MarginLoss and DistanceWeightedMiner; draws its own negatives"""
    miner = miners.DistanceWeightedMiner()
    loss = losses.MarginLoss(margin=0.2, beta=1.2, learn_beta=True, num_classes=len(data['weight']),
                             distance=euclidean())
    return lambda b: loss(b.embedding, b.label, miner(b.embedding, b.label))


def multi_similarity(data):
    """library: MultiSimilarityLoss and MultiSimilarityMiner"""
    inner = distances.DotProductSimilarity(normalize_embeddings=False)
    miner = miners.MultiSimilarityMiner(epsilon=0.1, distance=inner)
    loss = losses.MultiSimilarityLoss(alpha=2, beta=50, base=1, distance=inner)
    return lambda b: loss(b.embedding, b.label, miner(b.embedding, b.label))


def npair(data):
    """library: NPairsLoss with LpRegularizer"""
    loss = losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False),
                             embedding_regularizer=regularizers.LpRegularizer(), embedding_reg_weight=3e-3)
    return lambda b: loss(b.embedding, b.pair_label)


def softmax(data):
    """plain PyTorch: linear layer and cross-entropy"""
    weight = parameter(data['feature_weight'])
    bias = parameter(np.zeros(len(weight), dtype=np.float32))
    return lambda b: functional.cross_entropy(functional.linear(b.feature, weight, bias), b.label)


def softmax_hard(data):
    """plain softmax + library: TripletMarginLoss and BatchHardMiner"""
    classify, miner = softmax(data), miners.BatchHardMiner(distance=euclidean(2))
    triplet = losses.TripletMarginLoss(margin=0.2, distance=euclidean(2), reducer=MEAN())
    return lambda b: classify(b) + triplet(b.embedding, b.label, miner(b.embedding, b.label))


def softmax_semi_hard(data):
    """plain softmax + library: TripletMarginLoss and semi-hard miner; takes all semi-hard negatives"""
    classify, triplet = softmax(data), triplet_semihard(data)
    return lambda b: classify(b) + triplet(b)


def softmax_center(data):
    """plain PyTorch, centers moved after the step"""
    classify, centers = softmax(data), torch.from_numpy(data['centers'].copy())

    def loss(b):
        return classify(b) + 0.003 * 0.5 * (b.embedding - centers[b.label]).square().sum()

    def after_step(b):
        x = b.embedding.detach()
        count = torch.bincount(b.label, minlength=len(centers))[:, None]
        total = torch.zeros_like(centers).index_add_(0, b.label, x)
        centers.sub_(0.5 * (count * centers - total) / (1 + count))
    loss.after_step = after_step
    return loss


def sst(data):
    """plain PyTorch"""
    def loss(b):
        anchor, target, impostor = (torch.from_numpy(row) for row in b.triplets)
        distance = squared_distances(b.embedding)
        to_impostor = 0.5 * (distance[impostor, anchor] + distance[impostor, target])
        return functional.softplus(distance[target, anchor] - to_impostor).mean()
    return loss


def triplet_batchhard(data):
    """library: TripletMarginLoss (smooth) and BatchHardMiner"""
    miner = miners.BatchHardMiner(distance=euclidean())
    loss = losses.TripletMarginLoss(margin=0, smooth_loss=True, distance=euclidean(), reducer=MEAN())
    return lambda b: loss(b.embedding, b.label, miner(b.embedding, b.label))


def triplet_local(data):
    """library: TripletMarginLoss; plain PyTorch finds the targets"""
    loss = losses.TripletMarginLoss(margin=0.2, distance=euclidean(2), reducer=MEAN())

    def mine(x, label, targets=5):
        same = label[:, None] == label[None, :]
        positive = same.clone().fill_diagonal_(False)
        distance = squared_distances(x).masked_fill(~positive, np.inf)
        near = torch.zeros_like(same).scatter_(1, distance.topk(min(targets, len(x)), largest=False).indices, True)
        return torch.where((near & positive)[:, :, None] & ~same[:, None, :])
    return lambda b: loss(b.embedding, b.label, mine(b.embedding.detach(), b.label))


def triplet_semihard(data):
    """library: TripletMarginLoss and TripletMarginMiner(semihard); takes all semi-hard negatives"""
    miner = miners.TripletMarginMiner(margin=0.2, type_of_triplets='semihard', distance=euclidean(2))
    loss = losses.TripletMarginLoss(margin=0.2, distance=euclidean(2), reducer=MEAN())
    return lambda b: loss(b.embedding, b.label, miner(b.embedding, b.label))


ROWS = {
    'contrastive': contrastive, 'hdc': hdc, 'heated_softmax': heated_softmax,
    'hphn_triplet n_inner_pts=2': hphn_triplet(2), 'hphn_triplet n_inner_pts=0': hphn_triplet(0),
    'lifted_structure': lifted_structure, 'margin': margin, 'multi_similarity': multi_similarity, 'npair': npair,
    'softmax_ranking vanilla': softmax, 'softmax_ranking hard': softmax_hard,
    'softmax_ranking semi_hard': softmax_semi_hard, 'softmax_ranking center': softmax_center, 'sst': sst,
    'triplet_batchhard': triplet_batchhard, 'triplet_local': triplet_local, 'triplet_semihard': triplet_semihard,
}


def step(loss, batch):
    """Forward, backward; returns the value."""
    batch.embedding.grad = batch.feature.grad = None
    value = loss(batch)
    value.backward()
    if hasattr(loss, 'after_step'):
        loss.after_step(batch)
    return value


def serve(spec):
    """Answer requests until the parent closes the pipe."""
    torch.set_num_threads(spec['threads'])
    torch.manual_seed(0)
    data = dict(np.load(spec['data']))
    batches = [Batch(data, i) for i in range(len(data['embedding']))]
    print(json.dumps({'version': f'PyTorch {torch.__version__}, pytorch-metric-learning {__version__}',
                      'rows': {row: build.__doc__.splitlines()[0] for row, build in ROWS.items()}}), flush=True)
    made, turn = {}, 0
    for line in sys.stdin:
        request = json.loads(line)
        row, answer = request['row'], {}
        if row not in made:
            made, turn = {row: ROWS[row](data)}, 1
            value = step(made[row], batches[0])
            answer = {'value': value.item(), 'gradient': batches[0].embedding.grad.norm().item()
                      if batches[0].embedding.grad is not None else 0.0}
        seconds = []
        for _ in range(request['warmup'] + request['steps']):
            started = time.perf_counter()
            step(made[row], batches[turn % len(batches)])
            seconds.append(time.perf_counter() - started)
            turn += 1
        print(json.dumps({'seconds': seconds[request['warmup']:], **answer}), flush=True)


if __name__ == '__main__':
    serve(json.loads(sys.argv[1]))
