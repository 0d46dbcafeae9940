"""Networks built from flags, and pictures for them."""

import argparse
import types

import numpy as np

import models
from core.runtime import nd


def parse(*argv):
    parser = argparse.ArgumentParser()
    models.add_args(parser)
    parser.add_argument('--image_size', type=int)
    return parser.parse_args(argv)


def wish(head='l2', feature=None, dims=None):
    return types.SimpleNamespace(head=head, feature=feature, dims=dims)


def build(*argv, **criterion):
    return models.from_args(parse('--embed_dim=8', *argv), wish(**criterion))


def pictures(n, size, seed=0):
    return nd.array(np.random.RandomState(seed).randint(0, 256, (n, size, size, 3)), dtype='uint8')
