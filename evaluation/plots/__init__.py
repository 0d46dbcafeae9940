"""Figures, each as PNG and PDF, readable in print and by colour-blind people (markers and symbols beside colour)."""

from evaluation.plots.curves import confusion_matrix, loss_curve, pair_counts, recall_curves, similarity_histogram
from evaluation.plots.maps import distribution_map, tsne, tsne_points, tsne_thumbnails
from evaluation.plots.panels import projector_images, retrieval_panel, write_projector

__all__ = ['confusion_matrix', 'distribution_map', 'loss_curve', 'pair_counts', 'projector_images', 'recall_curves',
           'retrieval_panel', 'similarity_histogram', 'tsne', 'tsne_points', 'tsne_thumbnails', 'write_projector']
