"""What a service allows, and its counters."""

from typing import NamedTuple, Optional

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Settings(NamedTuple):
    """Limits of a service; what is beyond them is answered with a 4xx or 503 and the reason."""

    max_batch: int = 16                     # pictures of one forward pass
    max_wait: float = 0.005                 # seconds that a picture waits for others
    queue: int = 64                         # requests under way, and pictures that wait for the network
    max_bytes: int = 20_000_000             # of a request
    max_pixels: int = 50_000_000            # of a picture, by its header
    max_images: int = 32                    # of a request
    max_k: int = 1000
    max_duplicates: int = 20_000            # pictures among which the page looks for duplicates
    body_timeout: float = 30.0              # seconds that a request may take to arrive
    token: Optional[str] = None             # of who may add and delete; None: nobody
    hosts: tuple = ('localhost', '127.0.0.1', '[::1]')      # names that the service answers to; ('*',): all

    @property
    def max_bytes_under_way(self):
        """Bytes of all requests together."""
        return max(8 * self.max_bytes, 100_000_000)


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self):
        self.registry = CollectorRegistry()
        buckets = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)

        def make(kind, name, words, *labels, **options):
            return kind('gluon_dml_' + name, words, labels, registry=self.registry, **options)

        self.requests = make(Counter, 'requests', 'Answered requests', 'route', 'status')
        self.seconds = make(Histogram, 'request_seconds', 'Time from a request to its answer', 'route', buckets=buckets)
        self.under_way = make(Gauge, 'requests_under_way', 'Requests that are being answered')
        self.waiting = make(Gauge, 'images_waiting', 'Pictures that wait for the network')
        self.batch = make(Histogram, 'batch_images', 'Pictures of one forward pass', buckets=(1, 2, 4, 8, 16, 32, 64))
        self.forward = make(Histogram, 'forward_seconds', 'Time of one forward pass', buckets=buckets)
        self.search = make(Histogram, 'search_seconds', 'Time of one search in the index', buckets=buckets)
        self.images = make(Gauge, 'images', 'Pictures in the index')
