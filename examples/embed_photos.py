"""Embed your own pictures by a trained run, and find the nearest ones to the first.

    python3 -m examples.embed_photos runs/NAME photo1.jpg photo2.jpg ...
"""

import sys

import models


def main(run, paths):
    """Paths of pictures, nearest to the first one first (cosine similarity), with the similarity."""
    embed = models.load(run)                     # trunk, head, preprocessing and test view of the run
    embeddings = embed(paths)                    # float32 (n, D); uint8 arrays (n, H, W, 3) work as well
    similarity = embeddings @ embeddings[0]
    return sorted(zip(similarity.tolist(), paths), reverse=True)


if __name__ == '__main__':
    for cosine, path in main(sys.argv[1], sys.argv[2:]):
        print(f'{cosine:.4f}  {path}')
