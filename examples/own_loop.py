"""A loss of the suite in your own Gluon loop: noisy points of eight classes move until neighbours share a class.

    python3 -m examples.own_loop
"""

import numpy as np

from core.contracts import Batch, Out
from core.runtime import autograd, gluon, mx, nd
from evaluation.protocols import retrieval
from losses.hphn_triplet import HPHNTriplet


def points(rng, per_class=8, classes=8, dim=20, noise=1.5):
    """float32 (n, dim) and int labels (n,): two informative directions, the others are noise."""
    label = np.repeat(np.arange(classes), per_class)
    angle = 2 * np.pi * label / classes
    x = rng.normal(0, noise, (len(label), dim))
    x[:, :2] = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.3, (len(label), 2))
    return x.astype(np.float32), label


def main(steps=120):
    """Train a linear embedding; returns Recall@1 on unseen points before and after."""
    mx.random.seed(0)
    rng = np.random.RandomState(0)
    net, criterion = gluon.nn.Dense(4), HPHNTriplet(n_inner_pts=2, margin=0.2)
    net.initialize(mx.init.Xavier())
    trainer = gluon.Trainer(net.collect_params(), 'adam', {'learning_rate': 0.01})
    x, label = points(rng)

    def recall():
        return retrieval(nd.L2Normalization(net(nd.array(x))).asnumpy(), label, [1])['recall']['1']
    before = recall()
    for _ in range(steps):
        batch, labels = points(rng)
        with autograd.record():
            embedding = nd.L2Normalization(net(nd.array(batch)))
            loss = criterion(Out(embedding, None), Batch(None, nd.array(labels, dtype='int32'), None, None))
        loss.backward()
        trainer.step(len(labels))
    return before, recall()


if __name__ == '__main__':
    print('Recall@1 before {:.3f}, after {:.3f}'.format(*main()))
