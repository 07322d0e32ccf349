"""Intended deviations of Alaska's broker and client from the recorded conversations of the C programs."""

from __future__ import annotations

from typing import NamedTuple


class Deviation(NamedTuple):
    """The deviation in one conversation: the reason, and the broker's answers to the affected clients."""

    why: str
    answers: dict[str, list[str]]


DEVIATIONS: dict[str, Deviation] = {
    "close_before_open": Deviation(
        "C answers OK and crashes; Alaska answers OK", {"other": ["OK", "CONNECTION-PONG"], "x": ["OK"]}
    ),
    "close_right_after_broker_restart": Deviation(
        "C crashes at the CLOSE of a client that has not opened after the restart",
        {"c": ["OK", "OK", "ERROR 500", "ERROR 500", "ERROR 500"]},
    ),
    "confirm_to_broker": Deviation(
        "C drops a client that sends CONFIRM; Alaska ignores unexpected confirmations",
        {"x": ["OK", "OK", "SERVICE-DELIVER (b'svc', b'p', b'job', (b'1',))", "CONNECTION-PONG"]},
    ),
    "duplicate_address": Deviation(
        "the older client stays open, without the address; C drops it",
        {
            "one": ["OK", "OK", "CONNECTION-PONG", "ERROR 500"],
            "two": ["OK", "MAILBOX-DELIVER (b'joe', b'p', b'm1', (b'1',))", "CONNECTION-PONG"],
        },
    ),
    "duplicate_address_send_and_close": Deviation(
        "the older client's request is delivered; C loses it and crashes",
        {"one": ["OK", "OK"], "w": ["OK", "OK", "SERVICE-DELIVER (b'default', b'alas_producer', b'job', (b'lost',))"]},
    ),
    "duplicate_address_two_c_clients": Deviation(
        "two C clients drop each other repeatedly; here only their recorded second OPEN is invalid",
        {
            "one": [
                "OK",
                "CONNECTION-PONG",
                "ERROR 500",
                "ERROR 500",
                "OK",
                "CONNECTION-PONG",
                "ERROR 500",
                "ERROR 500",
                "OK",
            ],
            "two": [
                "OK",
                "CONNECTION-PONG",
                "ERROR 500",
                "ERROR 500",
                "OK",
                "CONNECTION-PONG",
                "ERROR 500",
                "ERROR 500",
                "OK",
            ],
        },
    ),
    "empty_subject": Deviation(
        "patterns also match an empty subject",
        {
            "w": [
                "OK",
                "OK",
                "OK",
                "OK",
                "OK",
                "SERVICE-DELIVER (b'svc', b'p', b'', (b'1',))",
                "SERVICE-DELIVER (b'svc2', b'p', b'', (b'2',))",
                "STREAM-DELIVER (b'st', b'p', b'', (b'3',))",
                "STREAM-DELIVER (b'st2', b'p', b'', (b'4',))",
                "OK",
                "MAILBOX-DELIVER (b'w', b'p', b'', (b'5',))",
            ]
        },
    ),
    "invalid_pattern_in_offer_and_read": Deviation(
        "an invalid pattern matches nothing; in C it matches everything", {"w": ["OK", "OK", "OK"]}
    ),
    "order_across_stream_service_mailbox": Deviation(
        "messages of one client are delivered in the order in which they were sent",
        {
            "w": [
                "OK",
                "OK",
                "OK",
                "STREAM-DELIVER (b'st', b'p', b's0', (b'0',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j0', (b'0',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm0', (b'0',))",
                "STREAM-DELIVER (b'st', b'p', b's1', (b'1',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j1', (b'1',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm1', (b'1',))",
                "STREAM-DELIVER (b'st', b'p', b's2', (b'2',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j2', (b'2',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm2', (b'2',))",
                "STREAM-DELIVER (b'st', b'p', b's3', (b'3',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j3', (b'3',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm3', (b'3',))",
                "STREAM-DELIVER (b'st', b'p', b's4', (b'4',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j4', (b'4',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm4', (b'4',))",
                "STREAM-DELIVER (b'st', b'p', b's5', (b'5',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j5', (b'5',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm5', (b'5',))",
                "STREAM-DELIVER (b'st', b'p', b's6', (b'6',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j6', (b'6',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm6', (b'6',))",
                "STREAM-DELIVER (b'st', b'p', b's7', (b'7',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j7', (b'7',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm7', (b'7',))",
                "STREAM-DELIVER (b'st', b'p', b's8', (b'8',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j8', (b'8',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm8', (b'8',))",
                "STREAM-DELIVER (b'st', b'p', b's9', (b'9',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j9', (b'9',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm9', (b'9',))",
                "STREAM-DELIVER (b'st', b'p', b's10', (b'10',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j10', (b'10',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm10', (b'10',))",
                "STREAM-DELIVER (b'st', b'p', b's11', (b'11',))",
                "SERVICE-DELIVER (b'svc', b'p', b'j11', (b'11',))",
                "MAILBOX-DELIVER (b'w', b'p', b'm11', (b'11',))",
                "OK",
            ]
        },
    ),
    "pattern_that_hangs_at_match": Deviation(
        "no pattern hangs the broker", {"p": ["OK", "CONNECTION-PONG", "CONNECTION-PONG"]}
    ),
    "pattern_that_hangs_the_broker": Deviation(
        "no pattern hangs the broker", {"p": ["OK", "CONNECTION-PONG"], "w": ["OK", "OK"]}
    ),
    "ping_with_content_frame": Deviation(
        "a malformed command is answered with ERROR 500 and ends the session; C stops responding",
        {"probe": ["OK"], "x": ["OK", "ERROR 500", "ERROR 500"]},
    ),
    "status_reason_leaks": Deviation("C drops a client that sends CONFIRM, and leaks its reason", {"x": ["OK"]}),
    "stored_tracker_is_stale": Deviation(
        "the message has expired when its receiver opens; C ignores timeouts", {"late": ["OK", "OK"]}
    ),
    "stream_cancel": Deviation(
        "a message is delivered to a reader once, even if several of its patterns match",
        {
            "r": [
                "OK",
                "OK",
                "OK",
                "STREAM-DELIVER (b's', b'w', b'ab', (b'before',))",
                "OK",
                "CONNECTION-PONG",
                "OK",
                "STREAM-DELIVER (b's', b'w', b'ab', (b'again',))",
                "CONNECTION-PONG",
                "OK",
            ]
        },
    ),
    "stream_two_patterns_one_reader": Deviation(
        "a message is delivered to a reader once, even if several of its patterns match",
        {
            "r1": [
                "OK",
                "OK",
                "OK",
                "STREAM-DELIVER (b'weather', b'writer', b'temp.london', (b'both patterns',))",
                "STREAM-DELIVER (b'weather', b'writer', b'temp.paris', (b'one pattern',))",
                "STREAM-DELIVER (b'weather', b'writer', b'rain.london', (b'the other',))",
                "OK",
            ]
        },
    ),
    "timeout_not_honoured": Deviation("timeouts are honoured", {"late": ["OK", "OK"], "w": ["OK", "OK", "OK"]}),
    "truncated_header": Deviation(
        "a truncated header is answered with ERROR 500; C executes it with wrong fields",
        {"x1": ["OK", "ERROR 500"], "x2": ["OK", "ERROR 500"], "x3": ["OK", "ERROR 500"], "x4": ["OK", "ERROR 500"]},
    ),
    "truncated_mailbox_send": Deviation(
        "a truncated header is answered with ERROR 500; C aborts",
        {"x": ["OK", "ERROR 500"], "y": ["OK", "CONNECTION-PONG"]},
    ),
    "truncated_service_send": Deviation(
        "a truncated header is answered with ERROR 500; C executes it with wrong fields",
        {
            "x": ["OK", "ERROR 500"],
            "y": ["OK", "OK", "SERVICE-DELIVER (b'svc', b'x', b'good', (b'good content',))", "CONNECTION-PONG"],
        },
    ),
    "unknown_command_and_bad_signature": Deviation(
        "a malformed command is answered with ERROR 500 and ends the session; C does not answer",
        {
            "x": ["OK", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500"],
            "y": ["ERROR 500", "ERROR 500", "ERROR 500"],
        },
    ),
    "unknown_command_with_content_frame": Deviation(
        "a malformed command is answered with ERROR 500 and ends the session; C stops responding",
        {"other": ["OK", "CONNECTION-PONG"], "probe": ["OK"], "x": ["OK", "ERROR 500", "ERROR 500"]},
    ),
    "unknown_command_with_two_content_frames": Deviation(
        "a malformed command is answered with ERROR 500 and ends the session; C does not answer",
        {"x": ["OK", "ERROR 500"]},
    ),
}


class ClientDeviation(NamedTuple):
    """The deviation of a client: the reason, the commands that only Alaska's client sends, and its errors."""

    why: str
    sends: list[str] = []  # noqa: RUF012  # never modified
    failures: list[str] = []  # noqa: RUF012  # never modified


CLIENT_DEVIATIONS: dict[tuple[str, str], ClientDeviation] = {
    ("broker_restart_after_stream_cancel", "c"): ClientDeviation(
        "C's client hangs when it repeats STREAM-CANCEL; Alaska's also repeats the offer after it", ["SERVICE-OFFER"]
    ),
    ("broker_restart_replay", "pub"): ClientDeviation(
        "messages that the old broker may not have received are sent again", ["STREAM-SEND"]
    ),
    ("c_client_offer_refused_300", "c"): ClientDeviation(
        "C's client stops; Alaska's reports the reason", failures=["the broker refuses: invalid pattern"]
    ),
    ("c_client_offer_refused_400", "c"): ClientDeviation(
        "C's client stops; Alaska's reports the reason", failures=["the broker refuses: invalid pattern"]
    ),
    ("c_client_offer_refused_500", "c"): ClientDeviation(
        "Alaska's client opens again after the last ERROR 500 too", ["CONNECTION-OPEN"]
    ),
    ("c_client_ok_with_extra_frame", "c"): ClientDeviation(
        "C's client stops; Alaska's ignores malformed messages and opens again", ["CONNECTION-OPEN"]
    ),
    ("c_client_open_answered_500_then_ok", "c"): ClientDeviation(
        "Alaska's client opens again after each ERROR 500", ["CONNECTION-OPEN"] * 4
    ),
    ("c_client_open_refused_300", "c"): ClientDeviation(
        "Alaska's client reports why it cannot connect", failures=["the broker refuses: refused"]
    ),
    ("c_client_open_refused_401", "c"): ClientDeviation(
        "C's connect hangs; Alaska's fails and reports the reason", failures=["the broker refuses: refused"]
    ),
    ("confirm_to_broker", "x"): ClientDeviation("Alaska's client opens again after an ERROR", ["CONNECTION-OPEN"]),
    ("duplicate_address", "one"): ClientDeviation("Alaska's client repeats its offers", ["SERVICE-OFFER"]),
    ("duplicate_address", "two"): ClientDeviation("Alaska's client opens again after an ERROR", ["CONNECTION-OPEN"]),
    ("duplicate_address_send_and_close", "one"): ClientDeviation(
        "Alaska's client opens again after an ERROR", ["CONNECTION-OPEN"]
    ),
}
"""The deviations of Alaska's client, by conversation and client."""
