"""Figures for Prometheus: what this process did, and how everything stands in the ledger."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from noria.engine import Finished
from noria.ledger.alerts import Alert, ChannelStands
from noria.ledger.overview import Overview

_COUNTED = ("staged", "unchanged", "delivered", "failed", "dead", "invalid", "retried", "requests", "pages")


class Figures(Collector):
    """A registry of its own. `overview` gives how everything stands when somebody asks, `alerts` what is on, and how
    sending over each channel went."""

    def __init__(
        self, overview: Callable[[], Overview], alerts: Callable[[], tuple[list[Alert], list[ChannelStands]]]
    ) -> None:
        self.overview = overview
        self.alerts = alerts
        self.registry = CollectorRegistry()
        self.runs = Counter("noria_runs", "runs that ended here", ["plan", "status"], registry=self.registry)
        self.records = Counter("noria_run_records", "what runs here counted", ["plan", "what"], registry=self.registry)
        self.seconds = Counter("noria_run_seconds", "how long runs here took", ["plan"], registry=self.registry)
        self.registry.register(self)

    def finished(self, one: Finished) -> None:
        """Count a run."""
        self.runs.labels(one.plan, one.status).inc()
        self.seconds.labels(one.plan).inc(max(0.0, one.finished_at - one.started_at))
        counts = one.counts.as_dict()
        for name in _COUNTED:
            if counts[name]:
                self.records.labels(one.plan, name).inc(counts[name])

    def text(self) -> bytes:
        """As Prometheus reads them."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """What the ledger says."""
        yield from self._alerts()
        found = self.overview()
        queued = GaugeMetricFamily("noria_records_queued", "records never sent yet", labels=["plan"])
        states = GaugeMetricFamily("noria_records", "records in exceptional states", labels=["plan", "state"])
        lag = GaugeMetricFamily("noria_lag_seconds", "seconds since the watermark", labels=["plan"])
        for plan in found.plans:
            queued.add_metric([plan.key], max(0, plan.queued))
            for state, count in plan.counts.items():
                states.add_metric([plan.key, state], count)
            if plan.lag is not None:
                lag.add_metric([plan.key], plan.lag)
        yield from (queued, states, lag)
        yield GaugeMetricFamily("noria_plans_wanted", "plans that have something to do", value=found.queue)
        yield GaugeMetricFamily(
            "noria_plans_running", "plans under way", value=sum(1 for p in found.plans if p.running)
        )
        yield GaugeMetricFamily("noria_workers", "workers seen lately", value=len(found.workers) - len(found.lost))

    def _alerts(self) -> Iterator[Metric]:
        """Alerts by rule and severity; messages by channel and how they went, counted by all processes together."""
        on, channels = self.alerts()
        active = GaugeMetricFamily("noria_alerts_active", "alerts that are on", labels=["rule", "severity"])
        for (rule, severity), count in Counts((one.rule, one.severity) for one in on).items():
            active.add_metric([rule, severity], count)
        sent = CounterMetricFamily(
            "noria_notifications", "messages over channels, by outcome", labels=["channel", "outcome"]
        )
        for one in channels:
            sent.add_metric([one.name, "sent"], one.sent)
            sent.add_metric([one.name, "failed"], one.failed)
        yield from (active, sent)
