"""Groups of pictures that are nearly the same."""

from collections import namedtuple

import numpy as np

from serving.search import Hit

NEAR = 0.3              # between vectors of length one: the same photo again, scaled, compressed or slightly cut

Group = namedtuple('Group', 'widest hits')
Group.__doc__ = """Pictures that hang together: each is within the distance of another one of the group.

widest : the largest of those distances
hits : list of search.Hit, by path; each with its distance to the nearest other one of the group
"""


def groups(index, max_distance, labels=None, most=None, chunk=1024, progress=None):
    """Groups of near-identical pictures.

    Two pictures belong together when their distance is at most `max_distance`, directly or by others between them.
    Every picture's neighbours are asked for, in doubling numbers until they lie beyond the distance, so with the exact
    back-end no pair is missed.

    Parameters
    ----------
    index : of serving.index.open_index
    max_distance : Euclidean
    labels : None, or the labels that are looked at
    most : None, or how many groups to return
    chunk : how many pictures are asked for at a time
    progress : None, or function (done, total), called after each chunk

    Returns
    -------
    list of Group : the closest first
    """
    ids = index.ids()
    if labels is not None:
        wanted = set(labels)
        keep = []
        for start in range(0, len(ids), chunk):
            images = index.images(ids[start:start + chunk])
            keep += [i for i in ids[start:start + chunk].tolist() if i in images and images[i].label in wanted]
        ids = np.array(keep, np.int64)
    parent = {int(i): int(i) for i in ids}
    nearest = {}
    for start in range(0, len(ids), chunk):
        part = ids[start:start + chunk]
        vectors = index.vectors(part)
        k = 8
        while len(part):
            found, far = index.search(vectors, k, labels)
            near = (far <= max_distance) & (found >= 0)
            full = near.all(axis=1) & (found.shape[1] >= k)
            for row in np.flatnonzero(~full):
                for i, d in zip(found[row][near[row]].tolist(), far[row][near[row]].tolist()):
                    a = int(part[row])
                    if i != a and i in parent:
                        _join(parent, a, i)
                        nearest[a] = min(d, nearest.get(a, np.inf))
            part, vectors, k = part[full], vectors[full], 2 * k
        if progress:
            progress(min(start + chunk, len(ids)), len(ids))
    widest, members = {}, {}
    for i, distance in nearest.items():
        root = _root(parent, i)
        widest[root] = max(widest.get(root, 0.0), distance)
        members.setdefault(root, []).append(i)
    chosen = sorted(members, key=lambda root: (widest[root], root))[:most]
    result = []
    for root in chosen:
        images = index.images(members[root])
        hits = sorted((Hit(i, images[i].path, images[i].label, nearest[i]) for i in members[root] if i in images),
                      key=lambda hit: hit.path)
        if len(hits) > 1:
            result.append(Group(widest[root], hits))
    return result


def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _join(parent, a, b):
    a, b = _root(parent, a), _root(parent, b)
    parent[max(a, b)] = min(a, b)
