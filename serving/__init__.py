"""Search of one's own images: an index of embeddings, its back-ends, the web service and its page."""
