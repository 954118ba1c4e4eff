"""What Prometheus is told of a service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counts of requests by status, their seconds, how many wait, images a batch."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "hilum_requests", "Requests to predict, by status", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "hilum_request_seconds", "Seconds from upload to answer", buckets=_SECONDS, registry=self.registry
        )
        self.waiting = Gauge("hilum_waiting", "Requests that wait", registry=self.registry)
        self.batch = Histogram(
            "hilum_batch_images", "Images predicted together", buckets=_SIZES, registry=self.registry
        )

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return bytes(generate_latest(self.registry))
