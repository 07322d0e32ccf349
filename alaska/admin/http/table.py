"""What can be asked by HTTP. Each function returns the routes of one subject."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from alaska.admin.http.answers import EVENTS, OCTETS, TEXT, Answer
from alaska.admin.http.events import MOST_POSITION, NOW, START, EventStreams, read_position
from alaska.admin.http.health import Health, HealthPages
from alaska.admin.http.login import Credentials, Login, Session
from alaska.admin.http.message_terms import MAIL_TERMS, REQUEST_TERMS
from alaska.admin.http.messages import Messages
from alaska.admin.http.openapi import document
from alaska.admin.http.requests import LONGEST_WAIT, PATH, Accepted, Progress
from alaska.admin.http.routes import Asked, Header, Parameter, Route, Routes, seconds, text, word
from alaska.admin.http.users import Role
from alaska.mlm import commands as mlm

API = "/api/v1"
_TEXT, _OCTETS, _EVENTS = TEXT.decode(), OCTETS.decode(), EVENTS.decode()
_TRACKED_HEADERS = (
    Header("Alaska-Tracker", "The tracker of the message; without it, one is chosen."),
    Header("Alaska-Timeout", "Seconds after which the message expires if it is not delivered; 0: never."),
)
_MESSAGE_HEADERS = (
    Header("Alaska-Frame-Lengths", "Numbers separated by commas: the lengths of the frames in the body."),
    Header("Alaska-Header-NAME", "The header NAME of the message, in lower case."),
    Header("traceparent", "The trace that the message belongs to (W3C Trace Context)."),
    Header("tracestate", "What tracing systems add to the trace."),
)
_WAIT = seconds("wait", LONGEST_WAIT, "How many seconds to wait for the end of the request.")
_FORCE = word("force", ("0", "1"), "1: if a script runs, it is ended.", "0")
_SUBJECT = text("subject", "The subject of the message.")


def ok(kind: object) -> dict[int, tuple[str, object]]:
    """Return the answers of a route that answers with one type."""
    return {200: ("Success.", kind)}


def table(routes: Iterable[Route]) -> Routes:
    """Return all routes, with the one that answers with the OpenAPI document."""
    document_of_all = b""

    def answer(asked: Asked) -> Answer:
        del asked
        return Answer(200, document_of_all)

    doc = "The OpenAPI document of this process."
    listed = (*routes, Route("GET", f"{API}/openapi.json", answer, Role.VIEW, doc, ok("application/json")))
    document_of_all = msgspec.json.encode(document(listed))
    return Routes(listed)


def health_routes(pages: HealthPages) -> list[Route]:
    """Return the routes for health."""
    failed = ("One or more conditions do not hold.", _TEXT)
    probe = {200: ("All conditions hold.", _TEXT), 503: failed}
    whole_health = {200: ("All conditions hold.", Health), 503: ("At least one condition does not hold.", Health)}
    return [
        Route("GET", "/livez", pages.live, Role.NONE, "Whether the event loop turns.", probe),
        Route("GET", "/readyz", pages.ready, Role.VIEW, "Whether the process is ready to work.", probe),
        Route("GET", "/healthz", pages.health, Role.VIEW, "All conditions, with reasons.", whole_health),
    ]


def login_routes(login: Login) -> list[Route]:
    """Return the routes for the sessions of browsers."""
    path = f"{API}/session"
    ended = {204: ("The session has ended.", None)}
    return [
        Route(
            "POST", path, login.begin, Role.NONE, "Log in: begin a session, with a cookie.", ok(Session), Credentials
        ),
        Route("GET", path, login.current, Role.VIEW, "Who has logged in.", ok(Session)),
        Route("DELETE", path, login.end, Role.VIEW, "Log out: end the session.", ended),
    ]


def message_routes(messages: Messages) -> list[Route]:
    """Return the routes by which messages are sent."""
    accepted = ("The broker has the message.", Accepted)
    request = Route(
        "POST",
        f"{API}/services/{{service}}/{{subject}}",
        messages.requests.send,
        Role.SEND,
        "Send a request to a service.",
        {
            200: ("The reply, with `wait`.", _OCTETS),
            202: ("The broker has the request, or one with its id, and it has not ended within `wait`.", Accepted),
            204: ("The request has ended without a reply, with `wait`.", None),
        },
        _OCTETS,
        (_WAIT,),
        (*_TRACKED_HEADERS, *REQUEST_TERMS, *_MESSAGE_HEADERS),
    )
    box, stream = f"{API}/mailboxes/{{box}}", f"{API}/streams/{{stream}}"
    headers = *_TRACKED_HEADERS, *MAIL_TERMS, *_MESSAGE_HEADERS
    return [
        request,
        *tracked_routes(messages),
        Route(
            "POST", box, messages.mail, Role.SEND, "Send mail.", {202: accepted}, _OCTETS, (_SUBJECT,), headers
        ),
        Route(
            "POST", stream, messages.publish, Role.SEND, "Send a message to a stream.", {202: accepted}, _OCTETS,
            (_SUBJECT,), _MESSAGE_HEADERS,
        ),
    ]  # fmt: skip


def tracked_routes(messages: Messages) -> list[Route]:
    """Return the routes by which senders ask what became of their requests."""
    one, requests = f"{PATH}/{{tracker}}", messages.requests
    pending = ("The request has not ended.", Accepted)
    replies = {200: ("The reply.", _OCTETS), 202: pending, 204: ("The request has ended without a reply.", None)}
    doc = "How far a request of the user is."
    cancelled = {200: ("How far the request is now: `cancelled`, or `running` until its script ends.", Progress)}
    return [
        Route("GET", one, requests.progress, Role.SEND, doc, ok(Progress), None, (_WAIT,)),
        Route(
            "DELETE", one, requests.cancel, Role.SEND, "Cancel a request that has not ended.", cancelled, None,
            (_WAIT, _FORCE),
        ),
        Route("GET", f"{one}/reply", requests.reply, Role.SEND, "The reply to a request.", replies, None, (_WAIT,)),
    ]  # fmt: skip


def event_routes(events: EventStreams) -> list[Route]:
    """Return the route by which streams are read."""
    parameters = (
        Parameter(
            "from",
            read_position,
            f"{START}, {NOW}, or a position below {MOST_POSITION}",
            {
                "oneOf": [
                    {"enum": [START, NOW]},
                    {"type": "integer", "minimum": 0, "exclusiveMaximum": MOST_POSITION},
                ]
            },
            f"Position of the first record, `{START}` for the oldest, or `{NOW}` for new records, as without it.",
            mlm.LIVE_ONLY,
        ),
        text("match", "A pattern of the subjects (docs/patterns.md); without it, all.", default=""),
        word("encoding", ("utf-8", "base64"), "How content is written: `base64`, or as text if it is UTF-8.", "utf-8"),
    )
    last = Header("Last-Event-ID", "The position of the last record that the reader has; goes before `from`.")
    doc = "Read a stream as server-sent events."
    answers = {200: ("The data of each event is JSON (docs/http.md).", _EVENTS)}
    path = f"{API}/streams/{{stream}}"
    return [Route("GET", path, events.read, Role.VIEW, doc, answers, None, parameters, (last,), lasts=True)]
