"""Call Datadog through its own client; imported at the first request only, for it is large."""

from __future__ import annotations

from typing import Any

# Single modules: `v2.models` takes 950 ms and 96 MB to import.
from datadog_api_client.api_client import ApiClient
from datadog_api_client.configuration import Configuration
from datadog_api_client.v1.api.events_api import EventsApi
from datadog_api_client.v1.model.event_alert_type import EventAlertType
from datadog_api_client.v1.model.event_create_request import EventCreateRequest
from datadog_api_client.v2.api.metrics_api import MetricsApi
from datadog_api_client.v2.model.metric_content_encoding import MetricContentEncoding
from datadog_api_client.v2.model.metric_intake_type import MetricIntakeType
from datadog_api_client.v2.model.metric_payload import MetricPayload
from datadog_api_client.v2.model.metric_point import MetricPoint
from datadog_api_client.v2.model.metric_resource import MetricResource
from datadog_api_client.v2.model.metric_series import MetricSeries

from consumer.monitoring.datadog.buffer import Batch, document
from consumer.monitoring.datadog.transport import BoundedPool
from consumer.monitoring.datadog.version_events import VersionEvent


class Client:
    """The two calls we make. Both raise whatever the client does; the pool has the answer."""

    def __init__(self, url: str, key: str, pool: BoundedPool) -> None:
        # Untyped, the client's classes are Any here.
        configuration_of: Any = Configuration
        metrics_of: Any = MetricsApi
        events_of: Any = EventsApi
        # With `host` given, DD_SITE of the environment changes nothing. `compress` is about
        # answers; what could repeat or wait is off, and the pool bounds the rest.
        configuration = configuration_of(
            host=url,
            api_key={"apiKeyAuth": key.strip()},
            compress=False,
            enable_retry=False,
            retry_policy=False,
        )
        client = ApiClient(configuration)
        client.rest_client.pool_manager = pool
        self._metrics = metrics_of(client)
        self._events = events_of(client)

    def submit(self, batch: Batch) -> None:
        """`submit_metrics`, compressed."""
        payload = MetricPayload(series=[_series(document(*entry)) for entry in batch])
        self._metrics.submit_metrics(body=payload, content_encoding=MetricContentEncoding.GZIP)

    def post(self, event: VersionEvent) -> None:
        """An event through the v1 EventsApi, which needs the API key alone."""
        alert_of: Any = EventAlertType
        self._events.create_event(
            body=EventCreateRequest(
                title=event.title,
                text=event.text,
                tags=list(event.tags),
                host=event.host,
                aggregation_key=event.key,
                date_happened=event.second,
                alert_type=alert_of(event.alert),
            )
        )


def _series(document: dict[str, Any]) -> MetricSeries:
    type_of: Any = MetricIntakeType
    return MetricSeries(
        **{
            **document,
            "type": type_of(document["type"]),
            "points": [MetricPoint(**point) for point in document["points"]],
            "resources": [MetricResource(**resource) for resource in document["resources"]],
        }
    )
