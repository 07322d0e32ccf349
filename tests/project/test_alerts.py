"""Each alert rule fires for the fault that it names, and not without it; this needs Prometheus's ``promtool``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import PROJECT

RULES = PROJECT / "docs" / "alerts.yml"
MINUTES = 60
"""A fault lasts for so long."""
STILL, GROWS, FALLS = "7x60", "0+60x60", "2000000000-30000000x60"
"""Values once a minute: always the same, 60 more each minute, or less and less, to 0.2e9."""
SAMPLES: dict[str, dict[str, tuple[str, str]]] = {
    "AlaskaNotServing": {'alaska_broker_serving{job="a"}': ("1x60", "0x60")},
    "AlaskaServiceWithoutWorkers": {"alaska_broker_waiting_without_workers": ("0x60", "3x60")},
    # The time of a test begins at 0 s.
    "AlaskaRequestsWait": {'alaska_broker_service_oldest_timestamp_seconds{service="s"}': ("0+60x60", "100x60")},
    "AlaskaMailboxesGrow": {'alaska_broker_waiting{kind="mailbox"}': ("20000x60", "20000+10x60")},
    "AlaskaDeadLetters": {'alaska_broker_dead_letters_total{reason="failed"}': (STILL, GROWS)},
    "AlaskaDeadLettersDropped": {"alaska_broker_dead_letters_dropped_total": (STILL, GROWS)},
    "AlaskaMessagesDropped": {'alaska_broker_messages_dropped_total{reason="no_room"}': (STILL, GROWS)},
    "AlaskaStoreNotWritable": {"alaska_store_writable": ("1x60", "0x60")},
    "AlaskaDiskFills": {"alaska_store_disk_free_bytes": ("2000000000x60", FALLS)},
    "AlaskaStoreSlow": {
        'alaska_store_commit_seconds_bucket{le="0.1"}': (GROWS, "0x60"),
        'alaska_store_commit_seconds_bucket{le="1.0"}': (GROWS, GROWS),
        'alaska_store_commit_seconds_bucket{le="+Inf"}': (GROWS, GROWS),
    },
    "AlaskaStoreDamaged": {"alaska_store_damaged_rows_total": (STILL, "0x40 1x20")},
    "AlaskaWorkerNotConnected": {"alaska_worker_connected": ("1x60", "0x60")},
    "AlaskaThreadsStuck": {'alaska_worker_pool_slots{state="stuck"}': ("0x60", "1x60")},
    "AlaskaPoolBusy": {'alaska_worker_pool_slots{state="idle"}': ("1x60", "0x60")},
    "AlaskaScriptFails": {'alaska_worker_script_errors_total{script="s",reason="error"}': (STILL, GROWS)},
    "AlaskaScriptsNotFound": {"alaska_worker_scripts_not_found_total": (STILL, GROWS)},
    "AlaskaEventLoopLags": {
        'alaska_event_loop_lag_seconds_bucket{le="0.1"}': (GROWS, "0x60"),
        'alaska_event_loop_lag_seconds_bucket{le="1.0"}': (GROWS, GROWS),
        'alaska_event_loop_lag_seconds_bucket{le="+Inf"}': (GROWS, GROWS),
    },
    "AlaskaAccessRefused": {'alaska_broker_commands_refused_total{reason="access"}': (STILL, GROWS)},
    "AlaskaLoginsRefused": {'alaska_broker_logins_refused_total{reason="password"}': (STILL, GROWS)},
    "AlaskaHTTPLoginsRefused": {'alaska_http_responses_total{status="401"}': (STILL, GROWS)},
    "AlaskaHTTPFails": {'alaska_http_responses_total{status="500"}': (STILL, GROWS)},
    "AlaskaReadersLag": {"alaska_broker_stream_lag_records": ("100x60", "200000x60")},
    "AlaskaBindingLags": {'alaska_broker_binding_lag_records{stream="s",service="v"}': ("20000x60", "20000+10x60")},
    "AlaskaBindingLosesRecords": {
        'alaska_broker_binding_lost_records_total{stream="s",service="v"}': (STILL, GROWS),
    },
    "AlaskaDurableReaderLags": {
        'alaska_broker_durable_reader_lag_records{stream="s",name="n"}': ("200000x60", "200000+10x60"),
    },
    "AlaskaClientsFull": {"alaska_broker_clients_full": ("0x60", "2x60")},
    "AlaskaDescriptors": {"process_open_fds": ("100x60", "900x60"), "process_max_fds": ("1000x60", "1000x60")},
    "AlaskaSchedulesMissed": {'alaska_broker_schedules_total{outcome="missed"}': (STILL, GROWS)},
}
"""For each rule, metrics with their values while all is well, and during the fault."""


def case(samples: dict[str, tuple[str, str]], fires: str | None) -> dict[str, Any]:
    """Return a test of the rules: which of them fires at the end, if one does."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values[fires is not None]} for name, values in samples.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{MINUTES}m",
                "exp_samples": [] if fires is None else [{"labels": f'{{alertname="{fires}"}}', "value": 1}],
            }
        ],
    }


class AlertTests(SynchronousTestCase):
    """docs/alerts.yml, evaluated."""

    def test_complete(self) -> None:
        """There is a fault for each rule."""
        self.assertEqual(re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")), list(SAMPLES))

    def test_fires(self) -> None:
        """A rule, and no other, fires during its fault, and none fires while all is well."""
        program = shutil.which("promtool")
        if program is None:
            raise SkipTest("there is no promtool (Debian package prometheus)")
        cases = [case(samples, fires) for name, samples in SAMPLES.items() for fires in (None, name)]
        # JSON is YAML, too.
        file = Path(self.mktemp())
        file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))
        done = subprocess.run([program, "test", "rules", file], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
