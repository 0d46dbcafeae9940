"""k-means on faiss, or on scikit-learn where an original's setting asks for it."""

import numpy as np

from engine.errors import UserError, pick

# name -> (library, n_init). The originals all used scikit-learn's KMeans.
SETTINGS = {
    'fast': ('faiss', 1),
    'heated_up': ('sklearn', 10),
    'fast_kmeans': ('sklearn', 1),
    'deep_embedding': ('sklearn', 10),
    'local_sampling': ('sklearn', 20),
}


def kmeans(embeddings, k, seed=0, n_init=1, iterations=20, library='faiss'):
    """Cluster numbers int64 (N,) of k clusters."""
    embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    if not 1 <= k <= len(embeddings):
        raise UserError('k-means with k={} on {} items: k must be from 1 to {}'.format(
            k, len(embeddings), len(embeddings)))
    if library == 'sklearn':
        from sklearn.cluster import KMeans
        return KMeans(k, n_init=n_init, random_state=seed).fit_predict(embeddings).astype(np.int64)
    import faiss
    model = faiss.Kmeans(embeddings.shape[1], k, niter=iterations, nredo=n_init, seed=seed,
                         min_points_per_centroid=1, max_points_per_centroid=2 ** 31 - 1)
    model.train(embeddings)
    return model.index.search(embeddings, 1)[1][:, 0]


def cluster(embeddings, k, name='fast', seed=0):
    """k-means with the setting of an original, by name (SETTINGS)."""
    library, n_init = pick('--kmeans', name, SETTINGS)
    return kmeans(embeddings, k, seed, n_init, library=library)
