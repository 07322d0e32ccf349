"""The documents about metrics: the table, the dashboard and the alert rules fit what is exported."""

from __future__ import annotations

import json
import re
from importlib import import_module
from importlib.util import find_spec
from itertools import chain

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.admin.families import Family, Kind
from alaska.admin.process_metrics import system_metrics
from docs.dashboard import dashboard
from docs.metrics_table import TABLES, with_tables
from tests import PROJECT
from tests.project.pages import blocks, pages

DOCS = PROJECT / "docs"
FAMILIES = {family.name: family for family in chain.from_iterable(TABLES.values())}
PARTS = ("_bucket", "_sum", "_count")
TARGET = {"job", "instance"}
"""The labels that Prometheus adds."""
WORDS = {
    *(
        "and",
        "on",
        "by",
        "sum",
        "max",
        "min",
        "rate",
        "increase",
        "deriv",
        "predict_linear",
        "time",
        "or",
        "e",
        "histogram_quantile",
    ),
    *("time", "or", "e", "histogram_quantile", "label_values", "m", "h", "le", "__rate_interval"),
}
RULE = re.compile(
    r"      - alert: (?P<name>Alaska\w+)\n"
    r"        expr: (?P<expr>.+)\n"
    r"(?:        for: \d+[mh]\n)?"
    r"        labels:\n          severity: (?:critical|warning)\n"
    r"        annotations:\n          summary: (?P<summary>.+)\n          description: (?P<description>.+)\n"
)


def exported() -> dict[str, set[str]]:
    """Return the labels of each name that a query may have."""
    found: dict[str, set[str]] = {}
    for name, family in FAMILIES.items():
        if family.kind is Kind.HISTOGRAM:
            found.update({name + part: {*family.labels, *(["le"] if part == "_bucket" else [])} for part in PARTS})
        else:
            found[name] = set(family.labels)
    for metric in system_metrics()():
        found.update((sample.name, set()) for sample in metric.samples)
    return found


def faults(expression: str) -> list[str]:
    """Return what is wrong with a query: names that are not exported, and labels that they do not have."""
    known = exported()
    found = []
    used: set[str] = set()
    for name, matchers in re.findall(r"\b((?:alaska|process)_\w+)(?:\{([^}]*)\})?", expression):
        if name not in known:
            found.append(f"{name} is not exported")
            continue
        used |= known[name]
        labels = set(re.findall(r"(\w+)\s*=~?", re.sub(r'"[^"]*"', "", matchers)))
        found += [f"{name} has no label {label}" for label in labels - known[name] - TARGET]
    for names in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        found += [f"nothing here has the label {each}" for each in set(names.split(", ")) - used - TARGET - {"le"}]
    if not used and not re.search(r"\b(alaska|process)_", expression):
        found.append("it has no metric")
    rest = re.sub(r"\{[^}]*\}|\([\w, ]*\)|\b(alaska|process)_\w+|[\d.]+", " ", expression)
    found += [f"{word} is not known" for word in set(re.findall(r"[A-Za-z_]\w*", rest)) - WORDS]
    return found


class FaultTests(SynchronousTestCase):
    """The check of queries."""

    def test_finds_faults(self) -> None:
        """Wrong names and labels are found, in any place."""
        for expression, fault in (
            ("rate(alaska_broker_cats_total[5m])", "alaska_broker_cats_total is not exported"),
            ("alaska_broker_request_wait_seconds", "alaska_broker_request_wait_seconds is not exported"),
            ('alaska_broker_waiting{cat="x"} > 0', "alaska_broker_waiting has no label cat"),
            ("sum by (cat) (alaska_broker_waiting)", "nothing here has the label cat"),
            ("up == 0", "it has no metric"),
            ("sun(alaska_broker_waiting)", "sun is not known"),
        ):
            self.assertIn(fault, faults(expression))
        self.assertEqual(faults("sum by (kind) (rate(alaska_broker_waiting[5m])) > 3"), [])


class FamilyTests(SynchronousTestCase):
    """The names of metrics."""

    def test_names(self) -> None:
        """Names follow the rules of Prometheus: counters end with _total and only they do, units are base units."""
        for name, family in FAMILIES.items():
            self.assertRegex(name, r"^alaska_[a-z]+(_[a-z]+)*$")
            self.assertEqual(name.endswith("_total"), family.kind is Kind.COUNTER, name)
            self.assertNotRegex(name, r"_(ms|milliseconds|octets|kb|age)\b")
            self.assertFalse({"job", "instance", "le"} & set(family.labels), name)
            if family.kind is Kind.HISTOGRAM:
                self.assertRegex(name, r"_(seconds|rows)$")

    def test_unique(self) -> None:
        """Each name is declared once, and has a sentence."""
        everything: list[Family] = list(chain.from_iterable(TABLES.values()))
        self.assertEqual(len(everything), len(FAMILIES))
        for family in everything:
            self.assertRegex(family.doc, r"^[A-Z01].*\.$", family.name)


class PageTests(SynchronousTestCase):
    """docs/metrics.md."""

    def test_tables(self) -> None:
        """The tables are those that docs/metrics_table.py writes."""
        text = (DOCS / "metrics.md").read_text(encoding="utf-8")
        self.assertEqual(text, with_tables(text))
        for name in FAMILIES:
            self.assertIn(f"| `{name}` |", text)


class DashboardTests(SynchronousTestCase):
    """docs/grafana.json."""

    def setUp(self) -> None:
        self.text = (DOCS / "grafana.json").read_text(encoding="utf-8")
        self.panels = json.loads(self.text)["panels"]

    def test_current(self) -> None:
        """It is what docs/dashboard.py writes."""
        self.assertEqual(self.text, dashboard())

    def test_queries(self) -> None:
        """Each query has names and labels that are exported, and shows what was chosen."""
        queries = [target["expr"] for panel in self.panels for target in panel.get("targets", ())]
        self.assertGreater(len(queries), 40)
        for query in queries:
            self.assertEqual(faults(query), [], query)
            self.assertEqual(query.count('job=~"$job",instance=~"$instance"'), query.count("{"), query)

    def test_legends(self) -> None:
        """Each legend has labels by which its query sums."""
        for panel in self.panels:
            for target in panel.get("targets", ()):
                for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                    self.assertRegex(target["expr"], rf"by \([^)]*\b{label}\b", target)

    def test_no_overlap(self) -> None:
        """No panel covers another."""
        places: set[tuple[int, int]] = set()
        for panel in self.panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & places, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            places |= cells


class TextTests(SynchronousTestCase):
    """Metrics in the text of all pages."""

    def test_names(self) -> None:
        """Each metric, and each query, has names and labels that are exported."""
        found = 0
        for path in pages():
            text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
            for code in re.findall(r"`([^`\n]*\balaska_(?!c\b|workers\b|memory\b)\w+[^`\n]*)`", text):
                found += 1
                self.assertEqual([] if code in FAMILIES else faults(code), [], f"{path.name}: {code}")
        self.assertGreater(found, 100)


class PrometheusTests(SynchronousTestCase):
    """The piece of prometheus.yml in docs/metrics.md."""

    def test_piece(self) -> None:
        """It asks the endpoint of the shipped settings, and loads the shipped rules."""
        if find_spec("yaml") is None:
            raise SkipTest("there is no PyYAML (pip install '.[dev]')")
        page = (DOCS / "metrics.md").read_text(encoding="utf-8")
        (piece,) = (block.text for block in blocks(page) if block.language == "yaml")
        config = import_module("yaml").safe_load(piece)
        (job,) = config["scrape_configs"]
        ((target,),) = (each["targets"] for each in job["static_configs"])
        self.assertIn(f'"tcp://{target}"', (PROJECT / "alaska.cfg").read_text(encoding="utf-8"))
        self.assertEqual(list(job["authorization"]), ["credentials"])
        self.assertTrue(all((DOCS / name).exists() for name in config["rule_files"]))


class AlertTests(SynchronousTestCase):
    """docs/alerts.yml."""

    def setUp(self) -> None:
        self.text = (DOCS / "alerts.yml").read_text(encoding="utf-8")
        self.rules = list(RULE.finditer(self.text))

    def test_complete(self) -> None:
        """Each rule has an expression, a severity, a summary, and what to do; the file has nothing else."""
        self.assertGreater(len(self.rules), 15)
        self.assertEqual(len(self.rules), self.text.count("- alert:"))
        rest = [line for line in RULE.sub("", self.text).splitlines() if line and not line.startswith("#")]
        self.assertEqual(rest, ["groups:", "  - name: alaska", "    rules:"])
        self.assertEqual(len({rule["name"] for rule in self.rules}), len(self.rules))

    def test_queries(self) -> None:
        """Each expression has names and labels that are exported."""
        for rule in self.rules:
            self.assertEqual(faults(rule["expr"]), [], rule["name"])

    def test_values(self) -> None:
        """Text with a colon, or that begins with a brace or a quote, is quoted, as YAML demands."""
        for rule in self.rules:
            for text in (rule["summary"], rule["description"], rule["expr"]):
                is_quoted = text.startswith('"') and text.endswith('"') and text.count('"') == 2
                self.assertTrue(is_quoted or not re.search(r'^[{"\[&*!|>%@]|: | #', text), text)

    def test_labels(self) -> None:
        """Each label in a summary is one that the expression leaves."""
        known = exported()
        for rule in self.rules:
            expression = rule["expr"]
            kept = {each for names in re.findall(r"\bby \(([^)]*)\)", expression) for each in names.split(", ")}
            first = re.search(r"(?:alaska|process)_\w+", expression)
            assert first is not None
            for label in re.findall(r"\$labels\.(\w+)", rule["summary"]):
                self.assertIn(label, kept or known[first[0]] | TARGET, rule["name"])
