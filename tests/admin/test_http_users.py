"""Who may ask what: tokens, sessions, roles, host names, pages of other origins."""

from __future__ import annotations

import os
from collections.abc import Iterable

from twisted.internet.defer import Deferred, succeed

from alaska.admin.http.answers import SAFE_HEADERS, Answer
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.sessions import IDLE_SECONDS, LONGEST_SECONDS, MOST_SESSIONS, Sessions
from alaska.admin.http.users import Key, Role, User, parse
from alaska.authentication import Entry, Verdict
from tests.admin.http_case import TOKENS, Got, HTTPCase, token_lines

JSON = "Content-Type: application/json"
SAME = "Sec-Fetch-Site: same-origin"


class UsersCase(HTTPCase):
    """A site with a page for each role."""

    def more_routes(self) -> Iterable[Route]:
        def answer(asked: Asked) -> Answer:
            return Answer(200, asked.user.name.encode())

        answers = {200: ("Who asks.", None)}
        for role in Role:
            yield Route("POST", f"/{role.word}", answer, role, "A change.", answers)
            yield Route("GET", f"/{role.word}", answer, role, "A page.", answers)

    def log_in(self, body: bytes, *headers: str) -> Got:
        """Log in."""
        return self.ask("POST", "/api/v1/session", JSON, *headers, body=body)

    def cookie_of(self, answer: Got) -> str:
        """Return the header with the cookie that an answer has set."""
        return f"Cookie: x=1; {answer.headers['set-cookie'].partition(';')[0]}"


class TokenTests(UsersCase):
    """Tokens and roles."""

    def test_roles(self) -> None:
        """A role includes all lower ones; another role is answered with 403, no token with 401."""
        for name, word in TOKENS.items():
            for role in Role:
                expected = 200 if Role[word.upper()] >= role else 403
                self.assertEqual(self.ask("POST", f"/{role.word}", user=name).status, expected, (name, role))
        for role in Role:
            answer = self.ask("POST", f"/{role.word}")
            self.assertEqual(answer.status, 200 if role <= Role.VIEW else 401)
        self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="alaska"')

    def test_without_tokens(self) -> None:
        """Where no file of tokens is named, the answer to any token says so, as that to a login does."""
        self.users._path = None  # as the program is started without http/tokens
        for answer in (self.ask("GET", "/livez", user="ann"), self.log_in(b'{"token": "T-ann"}')):
            self.assertEqual(answer.status, 401)
            self.assertIn("this program was started without http/tokens", answer.json["detail"])

    def test_wrong_token(self) -> None:
        """A wrong token is refused, even where none is needed."""
        for value in ("Bearer T-eve", "Bearer ", "Bearer", "Basic YW5uOng=", "T-ann", "Bearer T-ann, Bearer T-ann", ""):
            self.assertEqual(self.ask("GET", "/view", f"Authorization: {value}").status, 401, value)
        self.assertEqual(self.gate.refused, 7)

    def test_scheme(self) -> None:
        """The name of the scheme may have any case."""
        self.assertEqual(self.ask("POST", "/all", "authorization: bEaReR T-ann").body, b"ann")

    def test_changed_file(self) -> None:
        """A changed file of tokens is used at once, and a missing one lets nobody in."""
        self.file.write_text("# nobody\n")
        os.utime(self.file, ns=(1, 1))
        self.assertEqual(self.ask("POST", "/all", user="ann").status, 401)
        self.file.write_text(token_lines())
        self.assertEqual(self.ask("POST", "/all", user="ann").status, 200)
        self.file.unlink()
        self.assertEqual(self.ask("POST", "/all", user="ann").status, 401)

    def test_faults(self) -> None:
        """A bad line has no effect and is reported without its key; the others count."""
        good = token_lines().splitlines()[0]
        text = f"\n# ann all x\n{good}\nbob view\nbob root {'0' * 64}\nbob none {'0' * 64}\nbob view secret\n"
        users, faults = parse(f"{text}cid send password\n")
        self.assertEqual(list(users.values()), [User("ann", Role.ALL), User("cid", Role.SEND)])
        self.assertEqual([fault[:6] for fault in faults], ["line 4", "line 5", "line 6", "line 7"])
        self.assertNotIn("secret", "".join(faults))


class OpenTests(UsersCase):
    """An endpoint on loopback, for programs of this machine."""

    def test_proxy(self) -> None:
        """What comes through a proxy needs a token, since only the proxy is on this machine."""
        for header in ("X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", "Via: 1.1 x", "X-Real-IP: 10.0.0.1"):
            self.assertEqual(self.ask("GET", "/view", header).status, 401, header)
            self.assertEqual(self.ask("GET", "/view", header, user="bob").status, 200)

    def test_host(self) -> None:
        """Only names of this machine are served: a page may rename its own host to a loopback address."""
        for host in ("localhost", "LOCALHOST:9998", "127.0.0.1", "127.0.0.1:1", "[::1]:9998", "[::1]"):
            self.assertEqual(self.ask("GET", "/view", host=host).status, 200, host)
        for host in (
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
        ):
            answer = self.wire_of("GET", "/view", host)
            self.assertTrue(answer.startswith(b"HTTP/1.1 421 Misdirected Request\r\n"), host)
        for host in ("[::1", "a@localhost", "localhost:x", "localhost:1 evil.example", "localhost, evil.example"):
            self.assertEqual(self.ask("GET", "/view", host=host).status, 400, host)

    def wire_of(self, method: str, path: str, host: str) -> bytes:
        """Return what a request is answered with."""
        connection = self.connect()
        connection.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        octets: bytes = connection.wire.value()
        return octets

    def test_no_host(self) -> None:
        """A request of HTTP/1.1 has one header Host."""
        for octets in (b"GET /view HTTP/1.1\r\n\r\n", b"GET /view HTTP/1.1\r\nHost: localhost\r\nHost: a\r\n\r\n"):
            connection = self.connect()
            connection.send(octets)
            self.assertEqual([answer.status for answer in connection.answers], [400])

    def test_other_origin(self) -> None:
        """A browser can neither read nor change anything on behalf of a page of another origin."""
        for site in ("cross-site", "same-site", "odd"):
            self.assertEqual(self.ask("GET", "/view", f"Sec-Fetch-Site: {site}").status, 403)
            self.assertEqual(self.ask("POST", "/all", f"Sec-Fetch-Site: {site}", user="ann").status, 403)
        link = "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"
        self.assertEqual(self.ask("GET", "/view", *link).status, 200)
        self.assertEqual(self.ask("POST", "/all", *link, user="ann").status, 403)
        self.assertEqual(self.ask("GET", "/view", *link[:2], "Sec-Fetch-Dest: iframe").status, 403)

    def test_origin(self) -> None:
        """A page of another origin is recognized by the header Origin as well, whatever else the browser sends."""
        for origin in ("https://evil.example", "null", "http://localhost:1", "http://127.0.0.1:9", "localhost:9", ""):
            for extra in ((), (SAME,)):
                asked = f"Origin: {origin}", *extra
                self.assertEqual(self.ask("GET", "/view", *asked, host="localhost:9").status, 403, origin)
                self.assertEqual(self.ask("POST", "/all", *asked, user="ann", host="localhost:9").status, 403, origin)
        for host in ("localhost:9", "LOCALHOST:9", "localhost"):
            self.assertEqual(self.ask("POST", "/all", "Origin: http://localhost:9", user="ann", host=host).status, 200)

    def test_no_cors(self) -> None:
        """No answer lets a page of another origin read it, and a preflight gets no permission."""
        for method in ("GET", "OPTIONS"):
            answer = self.ask(method, "/view", "Origin: https://evil.example", "Access-Control-Request-Method: POST")
            self.assertEqual([name for name in answer.headers if name.startswith("access-control")], [])

    def test_safe_headers(self) -> None:
        """Every answer has the headers that keep a browser from running, guessing, framing and storing it."""
        for answer in (self.ask("GET", "/view"), self.ask("GET", "/nothing"), self.ask("POST", "/all")):
            for name, value in SAFE_HEADERS.items():
                self.assertEqual(answer.headers[name.decode().lower()], value.decode())
            self.assertNotIn("server", answer.headers)


class NeedsTokenTests(UsersCase):
    """An endpoint that other machines reach."""

    is_local = is_open = False
    hosts = frozenset({"alaska.example"})

    def test_reading(self) -> None:
        """Reading needs a token, except whether the process lives."""
        expected = {"/livez": 200, "/readyz": 401, "/healthz": 401, "/api/v1/openapi.json": 401}
        for path, status in expected.items():
            self.assertEqual(self.ask("GET", path, host="alaska.example").status, status, path)
            self.assertEqual(self.ask("GET", path, host="alaska.example", user="bob").status, 200)

    def test_hosts(self) -> None:
        """If host names are set, only these are served."""
        self.assertEqual(self.ask("GET", "/livez", host="localhost").status, 421)

    def test_origin(self) -> None:
        """A proxy may use another host name than the page's, if the settings name both."""
        expected = {"https://alaska.example": 200, "https://ALASKA.example:8443": 200, "https://evil.example": 403}
        for origin, status in expected.items():
            answer = self.ask("POST", "/all", f"Origin: {origin}", user="ann", host="alaska.example:1")
            self.assertEqual(answer.status, status, origin)


class SessionTests(UsersCase):
    """Sessions of browsers."""

    def setUp(self) -> None:
        self.asked: list[tuple[bytes, bytes, str]] = []
        self.verdict = Verdict(Entry.GRANTED)

        def decide(name: bytes, password: bytes, address: str) -> Deferred[Verdict]:
            self.asked.append((name, password, address))
            return succeed(self.verdict)

        self.decide = decide
        super().setUp()

    def test_cookie(self) -> None:
        """A login with a token gives a cookie that scripts and other sites do not get, with which one may read."""
        answer = self.log_in(b'{"token": "T-ann"}')
        self.assertEqual((answer.status, answer.json), (200, {"user": "ann", "role": "all"}))
        value, *attributes = answer.headers["set-cookie"].split("; ")
        expected = ["Path=/", f"Max-Age={LONGEST_SECONDS:.0f}", "HttpOnly", "SameSite=Strict"]
        self.assertEqual(attributes, expected)
        proxied = self.log_in(b'{"token": "T-ann"}', "X-Forwarded-Proto: https")
        self.assertEqual(proxied.headers["set-cookie"].split("; ")[1:], [*expected, "Secure"])
        self.assertEqual(self.ask("GET", "/all", f"Cookie: {value}").body, b"ann")
        self.assertEqual(self.ask("GET", "/all", f"Cookie: {value}x").status, 401)

    def test_changes(self) -> None:
        """With a cookie, only a page of the same origin may change something."""
        cookie = self.cookie_of(self.log_in(b'{"token": "T-ann"}'))
        self.assertEqual(self.ask("POST", "/all", cookie).status, 403)
        self.assertEqual(self.ask("POST", "/all", cookie, "Sec-Fetch-Site: none").status, 403)
        self.assertEqual(self.ask("POST", "/all", cookie, SAME).status, 200)

    def test_changes_without_fetch_metadata(self) -> None:
        """A browser that says nothing of the site, as by plain HTTP to another machine, has to tell our origin."""
        cookie = self.cookie_of(self.log_in(b'{"token": "T-ann"}'))
        own, other = "Origin: http://localhost:9", "Origin: http://localhost:1"
        for more, status in (((), 403), ((own,), 200), ((other,), 403), ((own, "Sec-Fetch-Site: none"), 403)):
            self.assertEqual(self.ask("POST", "/all", cookie, *more, host="localhost:9").status, status, more)

    def test_logout(self) -> None:
        """After the logout the cookie is worth nothing."""
        cookie = self.cookie_of(self.log_in(b'{"token": "T-ann"}'))
        answer = self.ask("DELETE", "/api/v1/session", cookie, SAME)
        self.assertEqual(
            (answer.status, answer.headers["set-cookie"].split("; ")[:3]), (204, ["alaska=", "Path=/", "Max-Age=0"])
        )
        self.assertEqual(self.ask("GET", "/all", cookie).status, 401)

    def test_removed_user(self) -> None:
        """A session ends when the file of tokens does not have its token any more, and its role is that of the file."""
        cookie = self.cookie_of(self.log_in(b'{"token": "T-ann"}'))
        self.file.write_text(token_lines().replace("ann all", "ann view"))
        self.assertEqual(self.ask("POST", "/all", cookie, SAME).status, 403)
        self.file.write_text("")
        self.assertEqual(self.ask("GET", "/all", cookie).status, 401)
        self.assertEqual(len(self.sessions), 0)

    def test_changed_password(self) -> None:
        """A session ends when the password with which it began would not be accepted any more."""
        self.verdict = Verdict(Entry.GRANTED, login="plain:eve:1")
        cookie = self.cookie_of(self.log_in(b'{"user": "eve", "password": "x"}'))
        valid = {"plain:eve:1"}
        self.sessions.is_valid = valid.__contains__
        self.assertEqual(self.ask("GET", "/view", cookie).body, b"eve")
        valid.clear()
        self.assertEqual(self.ask("DELETE", "/api/v1/session", cookie, SAME).headers["set-cookie"][:8], "alaska=;")
        self.assertNotEqual(self.ask("GET", "/view", cookie).body, b"eve")
        self.assertEqual(len(self.sessions), 0)

    def test_second_login(self) -> None:
        """A login ends the former session of the browser, and does not take over the value of its cookie."""
        first = self.cookie_of(self.log_in(b'{"token": "T-bob"}'))
        second = self.cookie_of(self.log_in(b'{"token": "T-ann"}', first, SAME))
        self.assertNotEqual(first, second)
        self.assertEqual((self.ask("GET", "/view", first).body, self.ask("GET", "/view", second).body), (b"", b"ann"))
        chosen = self.cookie_of(self.log_in(b'{"token": "T-ann"}', "Cookie: alaska=chosen", SAME))
        self.assertNotIn("chosen", chosen)

    def test_password(self) -> None:
        """A user of the broker logs in with the password, and has the role that the file names, or may view."""
        cookie = self.cookie_of(self.log_in('{"user": "eve", "password": "pä"}'.encode()))
        self.assertEqual(self.asked, [(b"eve", "pä".encode(), "127.0.0.1")])
        self.assertEqual(self.ask("GET", "/view", cookie).body, b"eve")
        self.assertEqual(self.ask("POST", "/send", cookie, SAME).status, 403)
        self.file.write_text(token_lines() + "eve operate password\n")
        self.assertEqual(self.ask("POST", "/operate", cookie, SAME).status, 200)

    def test_wrong_password(self) -> None:
        """A wrong password is refused after the delay that the broker demands, without a cookie."""
        self.verdict = Verdict(Entry.REFUSED, 2.0)
        connection = self.connect()
        body = b'{"user": "ann", "password": "x"}'
        head = f"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.send(head.encode() + body)
        self.clock.advance(1.9)
        self.assertEqual(connection.answers, [])
        self.clock.advance(0.1)
        (answer,) = connection.answers
        self.assertEqual((answer.status, answer.headers.get("set-cookie")), (401, None))

    def test_too_many_wrong(self) -> None:
        """When there were too many wrong passwords, the login is refused without a check."""
        self.verdict = Verdict(Entry.LATER)
        self.assertEqual(self.log_in(b'{"user": "ann", "password": "x"}').status, 429)

    def test_bad_logins(self) -> None:
        """What is no login is refused, and a wrong token too."""
        for body, status in (
            (b'{"token": "T-eve"}', 401),
            (b"{}", 401),
            (b'{"user": "", "password": ""}', 401),
            (b'{"tokn": "T-ann"}', 400),
            (b'{"token": 1}', 400),
            (b"\xff", 400),
            (b'{"user": "\xff"}', 400),
            (b"[" * 5000, 400),
            (b"", 400),
        ):
            self.assertEqual(self.log_in(body).status, status, body[:50])
        form = self.ask("POST", "/api/v1/session", "Content-Type: text/plain", body=b'{"token": "T-ann"}')
        self.assertEqual(form.status, 415)

    def test_age(self) -> None:
        """A session ends an hour after its last request, and twelve hours after the login."""
        sessions, key = Sessions(), Key("token", "x")
        value = sessions.begin(key, 0.0)
        self.assertIsNone(sessions.key_of(value, IDLE_SECONDS))
        value, now = sessions.begin(key, 0.0), 0.0
        while now + IDLE_SECONDS / 2 < LONGEST_SECONDS:
            now += IDLE_SECONDS / 2
            self.assertEqual(sessions.key_of(value, now), key)
        self.assertIsNone(sessions.key_of(value, LONGEST_SECONDS))

    def test_number(self) -> None:
        """There is a maximum number of sessions; the one that was not used for longest ends first."""
        sessions, key = Sessions(), Key("token", "x")
        first, second = sessions.begin(key, 0.0), sessions.begin(key, 0.0)
        for _ in range(MOST_SESSIONS - 2):
            sessions.begin(key, 0.0)
        sessions.key_of(first, 1.0)
        sessions.begin(key, 1.0)
        self.assertEqual((sessions.key_of(first, 1.0), sessions.key_of(second, 1.0)), (key, None))
        self.assertEqual(len(sessions), MOST_SESSIONS)

    def test_number_of_one(self) -> None:
        """A user who logs in very often ends sessions of their own, and none of others."""
        sessions, key = Sessions(), Key("token", "x")
        other = sessions.begin(Key("token", "y"), 0.0)
        first = sessions.begin(key, 1.0)
        for _ in range(MOST_SESSIONS):
            sessions.begin(key, 2.0)
        self.assertEqual((sessions.key_of(other, 3.0), sessions.key_of(first, 3.0)), (Key("token", "y"), None))
