"""PyTorch's side of `benchmark.py train`: the same networks, losses and steps. Runs in a Python that has torch.

Standalone on purpose: nothing of the project is imported, because torch is no dependency of it.
"""

import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def conv_bn(inputs, outputs, kernel, stride=1, padding=0, groups=1, bias=False, relu=True, eps=1e-5):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias),
              nn.BatchNorm2d(outputs, eps=eps)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Branches(nn.Module):
    """Inception block: 1x1; 1x1 and 3x3; 1x1 and 3x3; pooling and 1x1; side by side."""

    def __init__(self, inputs, one, three_in, three, five_in, five, pooled):
        super().__init__()
        self.branches = nn.ModuleList([
            conv_bn(inputs, one, 1, eps=1e-3),
            nn.Sequential(conv_bn(inputs, three_in, 1, eps=1e-3), conv_bn(three_in, three, 3, padding=1, eps=1e-3)),
            nn.Sequential(conv_bn(inputs, five_in, 1, eps=1e-3), conv_bn(five_in, five, 3, padding=1, eps=1e-3)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(inputs, pooled, 1, eps=1e-3))])

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def googlenet():
    """GluonCV's googlenet up to inception 5b; returns (trunk, channels)."""
    half = {'kernel_size': 3, 'stride': 2, 'ceil_mode': True}
    return nn.Sequential(
        conv_bn(3, 64, 7, 2, 3, eps=1e-3), nn.MaxPool2d(**half), conv_bn(64, 64, 1, eps=1e-3),
        conv_bn(64, 192, 3, padding=1, eps=1e-3), nn.MaxPool2d(**half),
        Branches(192, 64, 96, 128, 16, 32, 32), Branches(256, 128, 128, 192, 32, 96, 64), nn.MaxPool2d(**half),
        Branches(480, 192, 96, 208, 16, 48, 64), Branches(512, 160, 112, 224, 24, 64, 64),
        Branches(512, 128, 128, 256, 24, 64, 64), Branches(512, 112, 144, 288, 32, 64, 64),
        Branches(528, 256, 160, 320, 32, 128, 128), nn.MaxPool2d(2, 2),
        Branches(832, 256, 160, 320, 32, 128, 128), Branches(832, 384, 192, 384, 48, 128, 128)), 1024


class Bottleneck(nn.Module):
    """Residual unit of ResNet v1 with the stride in its first 1x1 convolution, as in MXNet's zoo."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        middle = outputs // 4
        self.body = nn.Sequential(conv_bn(inputs, middle, 1, stride, bias=True), conv_bn(middle, middle, 3, padding=1),
                                  conv_bn(middle, outputs, 1, bias=True, relu=False))
        self.shortcut = conv_bn(inputs, outputs, 1, stride, relu=False) if inputs != outputs else nn.Identity()

    def forward(self, x):
        return functional.relu(self.body(x) + self.shortcut(x), inplace=True)


def resnet50_v1():
    """MXNet's resnet50_v1 without pooling and classifier; returns (trunk, channels)."""
    layers, inputs = [conv_bn(3, 64, 7, 2, 3), nn.MaxPool2d(3, 2, 1)], 64
    for stage, (units, outputs) in enumerate(((3, 256), (4, 512), (6, 1024), (3, 2048))):
        for unit in range(units):
            layers.append(Bottleneck(inputs, outputs, 2 if stage and not unit else 1))
            inputs = outputs
    return nn.Sequential(*layers), 2048


def mobilenet_half():
    """MXNet's mobilenet0.5 without pooling and classifier; returns (trunk, channels)."""
    layers, inputs = [conv_bn(3, 16, 3, 2, 1)], 16
    for outputs, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (256, 1), (256, 1),
                            (256, 1), (256, 1), (512, 2), (512, 1)):
        layers += [conv_bn(inputs, inputs, 3, stride, 1, groups=inputs), conv_bn(inputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers), 512


NETWORKS = {'googlenet': googlenet, 'resnet50_v1': resnet50_v1, 'mobilenet0.5': mobilenet_half}


class Embedding(nn.Module):
    """uint8 (n, S, S, 3) -> logits (n, C): preprocessing, trunk, pooling, Dense, L2, scaled product with classes."""

    def __init__(self, name, dim, classes):
        super().__init__()
        self.trunk, channels = NETWORKS[name]()
        self.dense, self.classes = nn.Linear(channels, dim), nn.Linear(dim, classes, bias=False)
        self.register_buffer('offset', torch.tensor([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1))
        self.register_buffer('scale', torch.tensor([58.395, 57.12, 57.375]).reshape(1, 3, 1, 1))

    def forward(self, image):
        x = (image.permute(0, 3, 1, 2).float() - self.offset) / self.scale     # stays channels-last in memory
        return self.classes(functional.normalize(self.dense(self.trunk(x).mean((2, 3))))) * 16


def main(spec):
    """Train and print one line of JSON: seconds of each timed step, trunk parameters."""
    torch.set_num_threads(spec['threads'])
    net = Embedding(spec['network'], spec['embed_dim'], spec['classes'])
    if spec['channels_last']:
        net = net.to(memory_format=torch.channels_last)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    rng, n, size = np.random.RandomState(0), spec['batch_size'], spec['image_size']
    image = torch.from_numpy(rng.randint(0, 256, (n, size, size, 3)).astype('uint8'))
    label = torch.from_numpy(rng.randint(0, spec['classes'], n))
    seconds = []
    for _ in range(spec['warmup'] + spec['steps']):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(net(image), label)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({'seconds': seconds[spec['warmup']:],
                      'parameters': sum(p.numel() for p in net.trunk.parameters())}))


if __name__ == '__main__':
    main(json.loads(sys.argv[1]))
