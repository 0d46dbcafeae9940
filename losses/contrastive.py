"""Contrastive loss over all pairs of the batch."""

from core.flags import bounded
from losses import functional
from losses.arguments import add_normalized
from losses.base import Criterion


class Contrastive(Criterion):
    r"""Positives together, negatives at least a margin apart.

    .. math:: L = \frac{1}{n} \sum_i \Bigl[\sum_{j : y_j = y_i} D_{ij} + \sum_{j : y_j \ne y_i} [m - D_{ij}]_+\Bigr],
              \qquad D_{ij} = \sum_d (x_{id} - x_{jd} + 10^{-6})^2

    Every pair counts twice, and the pair of a sample with itself belongs to the first sum.

    # ORIGINAL: the hinge is on the squared distance against the plain margin; Hadsell has (m - d)^2.

    Parameters
    ----------
    margin : float, m, on squared distances
    normalized : bool, the head's rows have length one

    Inputs
    ------
    embedding (n, D), label (n,).

    Returns
    -------
    NDArray (1,): the sum over all pairs divided by n. Step size 1.

    Source
    ------
    Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping (CVPR 2006), in the form of
    Nguyen & De Baets (Neurocomputing 2020).

    Example
    -------
    >>> Contrastive().of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([0.61], dtype=float32)
    """

    sampler = 'local'
    samplers = ('local', 'pk', 'pk_ee', 'blocks', 'random')
    sampler_reason = 'the loss needs batches of labelled images in any order.'
    head = 'linear'

    def __init__(self, margin=0.5, normalized=False, **kwargs):
        super().__init__(**kwargs)
        self.margin = margin
        self.head = 'l2' if normalized else 'linear'

    @staticmethod
    def add_args(group):
        """Flags of the original under their names."""
        add_normalized(group)
        group.add_argument('--margin', type=bounded(float, 0.0), default=0.5,
                           help='squared distance from which on a negative pair is far enough')

    @classmethod
    def from_args(cls, args, num_classes):
        """Build from parsed flags."""
        return cls(args.margin, args.normalized)

    def hybrid_forward(self, F, embedding, label):
        """embedding (n, D), label (n,) -> (1,)."""
        same = functional.same_label(F, label)
        # ORIGINAL: 1e-6 is added to each coordinate, which makes D slightly asymmetric.
        distance = functional.squared_distances(F, embedding, embedding - 1e-6, self.batch_size)   # (n, n)
        pair = same * distance + (1 - same) * F.relu(self.margin - distance)
        return F.mean(F.sum(pair, axis=1))
