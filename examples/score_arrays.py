"""Score embeddings that came from anywhere: exact Recall@K, MAP@R and NMI of plain arrays.

    python3 -m examples.score_arrays
"""

import numpy as np

from evaluation.protocols import retrieval, table


def main():
    """Random directions around 50 class centres; returns the result as a dict."""
    rng = np.random.RandomState(0)
    labels = np.repeat(np.arange(50), 20)
    embeddings = rng.normal(size=(50, 64))[labels] + rng.normal(0, 1.6, (1000, 64))
    return retrieval(embeddings.astype(np.float32), labels, [1, 2, 4, 8], metric='cosine', clustering='fast')


if __name__ == '__main__':
    print(table(main()))
