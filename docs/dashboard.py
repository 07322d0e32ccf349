"""Write docs/grafana.json, the dashboard for Grafana: ``python docs/dashboard.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parent / "grafana.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
MINE = 'job=~"$job",instance=~"$instance"'
"""The choice of the dashboard; it is put where an expression has ``MINE``."""
WIDTH = 24


class Stat(NamedTuple):
    """A number in the strip at the top."""

    title: str
    expression: str
    unit: str = "short"


class Chart(NamedTuple):
    """A chart with its lines: the legend of each, and its expression."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]


def rate(metric: str, labels: str = "", more: str = "") -> str:
    """Return the expression for the rate of a counter, by labels."""
    by = f" by ({labels})" if labels else ""
    return f"sum{by} (rate({metric}{{MINE{more}}}[$__rate_interval]))"


def quantile(share: float, metric: str, labels: str) -> str:
    """Return the expression for a quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'{labels}, le' if labels else 'le')})"


def total(metric: str, labels: str = "", more: str = "") -> str:
    """Return the expression for the sum of a gauge, by labels."""
    by = f" by ({labels})" if labels else ""
    return f"sum{by} ({metric}{{MINE{more}}})"


STATS = (
    Stat("Waiting requests", total("alaska_broker_waiting", more=',kind="service"')),
    Stat("Waiting mail", total("alaska_broker_waiting", more=',kind="mailbox"')),
    Stat("Unconfirmed", total("alaska_broker_unconfirmed")),
    Stat("Requests in", rate("alaska_broker_request_accepted_total"), "ops"),
    Stat("Requests done", rate("alaska_broker_request_ended_total", more=',outcome="succeeded"'), "ops"),
    Stat("Dead letters", total("alaska_broker_dead_letters")),
    Stat("Clients", total("alaska_broker_clients")),
    Stat("Busy threads", total("alaska_worker_pool_slots", more=',state="running"')),
    Stat("Streams", total("alaska_broker_streams")),
    Stat("Store writable", "min(alaska_store_writable{MINE})"),
)
AGE = "time() - min by (service) (alaska_broker_service_oldest_timestamp_seconds{MINE})"
ROWS: dict[str, tuple[Chart, ...]] = {
    "Queued": (
        Chart("Requests that wait", "short", (("{{service}}", total("alaska_broker_service_waiting", "service")),)),
        Chart("Age of the oldest request", "s", (("{{service}}", AGE),)),
        Chart("Octets that wait", "bytes", (("{{kind}}", total("alaska_broker_waiting_bytes", "kind")),)),
    ),
    "Incoming": (
        Chart("Requests accepted", "ops", (("{{service}}", rate("alaska_broker_request_accepted_total", "service")),)),
        Chart(
            "Mail and stream messages",
            "ops",
            (
                ("mail", rate("alaska_broker_mail_accepted_total")),
                ("stream messages", rate("alaska_broker_stream_published_total")),
            ),
        ),
        Chart(
            "Octets in",
            "Bps",
            (
                ("requests", rate("alaska_broker_request_received_bytes_total")),
                ("mail", rate("alaska_broker_mail_received_bytes_total")),
                ("streams", rate("alaska_broker_stream_published_bytes_total")),
            ),
        ),
        Chart("Dropped", "ops", (("{{reason}}", rate("alaska_broker_messages_dropped_total", "reason")),)),
    ),
    "Outgoing": (
        Chart("Requests ended", "ops", (("{{outcome}}", rate("alaska_broker_request_ended_total", "outcome")),)),
        Chart("Redelivered", "ops", (("{{service}}", rate("alaska_broker_request_redelivered_total", "service")),)),
        Chart(
            "Octets out",
            "Bps",
            (
                ("requests", rate("alaska_broker_request_delivered_bytes_total")),
                ("mail", rate("alaska_broker_mail_delivered_bytes_total")),
                ("streams", rate("alaska_broker_stream_delivered_bytes_total")),
            ),
        ),
        Chart("Dead letters", "ops", (("{{reason}}", rate("alaska_broker_dead_letters_total", "reason")),)),
    ),
    "Queues": (
        Chart(
            "Time in the queue",
            "s",
            (
                ("{{service}}, half", quantile(0.5, "alaska_broker_request_wait_seconds", "service")),
                ("{{service}}, 99 %", quantile(0.99, "alaska_broker_request_wait_seconds", "service")),
            ),
        ),
        Chart(
            "Time from delivery to confirmation",
            "s",
            (
                ("{{service}}, half", quantile(0.5, "alaska_broker_request_run_seconds", "service")),
                ("{{service}}, 99 %", quantile(0.99, "alaska_broker_request_run_seconds", "service")),
            ),
        ),
        Chart("Mailboxes and services", "short", (("{{kind}}", total("alaska_broker_queues", "kind")),)),
        Chart("Lag of stream readers", "short", (("records", "max(alaska_broker_stream_lag_records{MINE})"),)),
    ),
    "Streams": (
        Chart(
            "Lag of bindings",
            "short",
            (("{{stream}} to {{service}}", "max by (stream, service) (alaska_broker_binding_lag_records{MINE})"),),
        ),
        Chart(
            "Requests made of records",
            "ops",
            (("{{stream}} to {{service}}", rate("alaska_broker_binding_requests_total", "stream, service")),),
        ),
        Chart(
            "Lag of durable readers",
            "short",
            (("{{name}} of {{stream}}", "max by (stream, name) (alaska_broker_durable_reader_lag_records{MINE})"),),
        ),
        Chart(
            "Records lost before they were read",
            "ops",
            (
                ("{{stream}} to {{service}}", rate("alaska_broker_binding_lost_records_total", "stream, service")),
                ("durable readers", rate("alaska_broker_durable_reader_lost_records_total")),
            ),
        ),
    ),
    "Connections": (
        Chart("Clients", "short", (("{{kind}}", total("alaska_broker_clients", "kind")),)),
        Chart("Sessions that ended", "ops", (("{{reason}}", rate("alaska_broker_clients_closed_total", "reason")),)),
        Chart("Workers", "short", (("{{service}}", total("alaska_broker_service_workers", "service")),)),
        Chart("Commands refused", "ops", (("{{reason}}", rate("alaska_broker_commands_refused_total", "reason")),)),
        Chart("Logins refused", "ops", (("{{reason}}", rate("alaska_broker_logins_refused_total", "reason")),)),
        Chart("Answers by HTTP", "ops", (("{{status}}", rate("alaska_http_responses_total", "status")),)),
    ),
    "Worker": (
        Chart("Runs", "ops", (("{{outcome}}", rate("alaska_worker_requests_total", "outcome")),)),
        Chart("Run time of scripts", "s", (("{{script}}", rate("alaska_worker_script_run_seconds_total", "script")),)),
        Chart(
            "Errors", "ops", (("{{script}}, {{reason}}", rate("alaska_worker_script_errors_total", "script, reason")),)
        ),
        Chart("Threads", "short", (("{{state}}", total("alaska_worker_pool_slots", "state")),)),
        Chart(
            "Wait for a thread",
            "s",
            (("99 %", quantile(0.99, "alaska_worker_request_wait_seconds", "")),),
        ),
        Chart("Memory of Lua", "bytes", (("{{instance}}", total("alaska_worker_lua_memory_bytes", "instance")),)),
    ),
    "Store and process": (
        Chart(
            "Commit",
            "s",
            (
                ("half", quantile(0.5, "alaska_store_commit_seconds", "")),
                ("99 %", quantile(0.99, "alaska_store_commit_seconds", "")),
            ),
        ),
        Chart(
            "Disk of the store",
            "bytes",
            (("file", total("alaska_store_file_bytes")), ("free", total("alaska_store_disk_free_bytes"))),
        ),
        Chart("Rows of a batch", "short", (("half", quantile(0.5, "alaska_store_batch_rows", "")),)),
        Chart("Lag of the event loop", "s", (("99 %", quantile(0.99, "alaska_event_loop_lag_seconds", "")),)),
        Chart("Processor time", "percentunit", (("{{instance}}", rate("process_cpu_seconds_total", "instance")),)),
        Chart("Memory", "bytes", (("{{instance}}", total("process_resident_memory_bytes", "instance")),)),
        Chart(
            "Descriptors left",
            "short",
            (("{{instance}}", "sum by (instance) (process_max_fds{MINE} - process_open_fds{MINE})"),),
        ),
    ),
}


def _panel(kind: str, title: str, unit: str, at: tuple[int, int, int, int], lines: Any) -> dict[str, Any]:  # noqa: ANN401
    x, y, width, height = at
    return {
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expression.replace("MINE", MINE), "legendFormat": legend}
            for number, (legend, expression) in enumerate(lines)
        ],
    }


def _panels() -> list[dict[str, Any]]:
    """Return all panels: the strip of numbers, and each row with its charts, up to four side by side."""
    widths = [2, 2, 2, 3, 3, 2, 2, 3, 2, 3]
    panels = []
    x = y = 0
    for stat, width in zip(STATS, widths, strict=True):
        panels.append(_panel("stat", stat.title, stat.unit, (x, y, width, 3), [("", stat.expression)]))
        x += width
    y += 3
    for title, charts in ROWS.items():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
        )
        y += 1
        beside = 3 if len(charts) % 3 == 0 else 4
        for number, chart in enumerate(charts):
            at = (number % beside * (WIDTH // beside), y + number // beside * 7, WIDTH // beside, 7)
            panels.append(_panel("timeseries", chart.title, chart.unit, at, chart.lines))
        y += 7 * -(-len(charts) // beside)
    return [{"id": number, **panel} for number, panel in enumerate(panels, 1)]


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name, "label": label, "type": "query", "query": query, "datasource": SOURCE, "refresh": 2,
        "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def dashboard() -> str:
    """Return the dashboard as JSON."""
    instances = 'label_values(process_start_time_seconds{job=~"$job"}, instance)'
    variables = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _variable("job", "Job", "label_values(alaska_build_info, job)"),
        _variable("instance", "Instance", instances),
    ]
    found = {
        "uid": "alaska-overview",
        "title": "Alaska Overview",
        "tags": ["alaska"],
        "schemaVersion": 38,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "panels": _panels(),
    }
    return json.dumps(found, indent=1) + "\n"


if __name__ == "__main__":
    PAGE.write_text(dashboard(), encoding="utf-8")
