"""``alas access test``; what it prints is in docs/access.md, with a test in tests/project/test_access_page.py."""

from __future__ import annotations

from tests.commands.test_commands import CommandCase

RULES = """mlm_server
    access
        user = "ann"
            ask = "svc pi"
            admin = "operate"
"""


class AccessTests(CommandCase):
    """The program with its exit status."""

    def setUp(self) -> None:
        super().setUp()
        self.write("malamute.cfg", RULES)

    def status(self, *arguments: str) -> int:
        """Return the exit status of a test."""
        return self.alas("access", "test", *arguments).returncode

    def test_decisions(self) -> None:
        """The exit status is 0 for what is allowed and 1 for what is refused."""
        self.assertEqual(self.status("ann", "ask", "svc", "pi"), 0)
        self.assertEqual(self.status("ann", "admin", "view"), 0)
        self.assertEqual(self.status("ann", "admin", "all"), 1)
        self.assertEqual(self.status("ann", "read", "svc"), 1)

    def test_without_subject(self) -> None:
        """Without a subject, the program says that others may be allowed."""
        done = self.alas("access", "test", "ann", "ask", "svc")
        self.assertEqual((done.returncode, done.stdout), (1, "refused: no rule of the user ann allows it\n"))
        self.assertIn("other subjects", done.stderr)

    def test_without_rules(self) -> None:
        """Without an access section, everything is allowed."""
        self.write("other.cfg", "mlm_server\n")
        done = self.alas("access", "test", "ann", "read", "x", "-c", "other.cfg")
        self.assertEqual(done.returncode, 0)
        self.assertIn("has no access section", done.stdout)

    def test_wrong(self) -> None:
        """A wrong command line has status 2, and names the verb that was probably meant."""
        done = self.alas("access", "test", "ann", "raed", "x")
        self.assertEqual(done.returncode, 2)
        self.assertIn("did you mean read?", done.stderr)
        for arguments in (("ann", "admin", "x"), ("ann", "read", "x", "y"), ("ann",), ("ann", "read", "x" * 256)):
            self.assertEqual(self.status(*arguments), 2)
        self.assertEqual(self.alas("access").returncode, 2)
        self.assertEqual(self.alas("access", "--help").returncode, 0)

    def test_unusable_file(self) -> None:
        """A missing file, or a rule that is not valid, has status 78, with file and line."""
        self.assertEqual(self.status("ann", "read", "x", "-c", "missing.cfg"), 78)
        self.write("malamute.cfg", RULES.replace("ask", "aks"))
        done = self.alas("access", "test", "ann", "read", "x")
        self.assertEqual(done.returncode, 78)
        self.assertIn("malamute.cfg:4: expected", done.stderr)
