"""Where our broker answers C clients other than the C broker did in the recorded conversations, and why."""

from __future__ import annotations

from typing import NamedTuple


class Deviation(NamedTuple):
    """One conversation: the reason, and what the clients that are answered differently are sent."""

    why: str
    answers: dict[str, list[str]]


DEVIATIONS: dict[str, Deviation] = {
    "close_before_open": Deviation(
        "C answers OK and crashes; ours answers OK and goes on", {"other": ["OK", "CONNECTION-PONG"], "x": ["OK"]}
    ),
    "close_right_after_broker_restart": Deviation(
        "C crashes at the CLOSE of a client that the new broker does not know",
        {"c": ["OK", "OK", "ERROR 500", "ERROR 500", "ERROR 500"]},
    ),
    "confirm_to_broker": Deviation(
        "C drops a client that confirms; ours ignores what it did not ask for",
        {"x": ["OK", "OK", "SERVICE-DELIVER (b'svc', b'p', b'job', (b'1',))", "CONNECTION-PONG"]},
    ),
    "duplicate_address": Deviation(
        "the older client stays open, without the address, where C drops it; what it sends then is what it sent to C",
        {
            "one": ["OK", "OK", "CONNECTION-PONG", "ERROR 500"],
            "two": ["OK", "MAILBOX-DELIVER (b'joe', b'p', b'm1', (b'1',))", "CONNECTION-PONG"],
        },
    ),
    "duplicate_address_send_and_close": Deviation(
        "the older client's request is carried out, where C loses it and crashes",
        {"one": ["OK", "OK"], "w": ["OK", "OK", "SERVICE-DELIVER (b'default', b'alas_producer', b'job', (b'lost',))"]},
    ),
    "duplicate_address_two_c_clients": Deviation(
        "C's two clients drop each other without end; here only their recorded second OPEN is invalid",
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
        "an empty subject matches what a reader of patterns expects",
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
        "a bad pattern matches nothing, where in C it matches everything", {"w": ["OK", "OK", "OK"]}
    ),
    "order_across_stream_service_mailbox": Deviation(
        "one client's messages come in the order in which they were sent",
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
        "a command that cannot be read is answered ERROR 500 and ends the session, where C goes deaf",
        {"probe": ["OK"], "x": ["OK", "ERROR 500", "ERROR 500"]},
    ),
    "status_reason_leaks": Deviation("C drops a client that confirms, and repeats its reason to others", {"x": ["OK"]}),
    "stored_tracker_is_stale": Deviation(
        "the message's timeout has passed when its receiver opens; C knows no timeouts", {"late": ["OK", "OK"]}
    ),
    "stream_cancel": Deviation(
        "a message comes once to a reader, however many of its patterns match",
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
        "a message comes once to a reader, however many of its patterns match",
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
        "a header that ends too early is answered ERROR 500, where C carries it out with other fields",
        {"x1": ["OK", "ERROR 500"], "x2": ["OK", "ERROR 500"], "x3": ["OK", "ERROR 500"], "x4": ["OK", "ERROR 500"]},
    ),
    "truncated_mailbox_send": Deviation(
        "a header that ends too early is answered ERROR 500, where C aborts",
        {"x": ["OK", "ERROR 500"], "y": ["OK", "CONNECTION-PONG"]},
    ),
    "truncated_service_send": Deviation(
        "a header that ends too early is answered ERROR 500, where C carries it out with other fields",
        {
            "x": ["OK", "ERROR 500"],
            "y": ["OK", "OK", "SERVICE-DELIVER (b'svc', b'x', b'good', (b'good content',))", "CONNECTION-PONG"],
        },
    ),
    "unknown_command_and_bad_signature": Deviation(
        "what cannot be read is answered ERROR 500 and ends the session, where C says nothing",
        {
            "x": ["OK", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500", "ERROR 500"],
            "y": ["ERROR 500", "ERROR 500", "ERROR 500"],
        },
    ),
    "unknown_command_with_content_frame": Deviation(
        "what cannot be read is answered ERROR 500 and ends the session, where C goes deaf",
        {"other": ["OK", "CONNECTION-PONG"], "probe": ["OK"], "x": ["OK", "ERROR 500", "ERROR 500"]},
    ),
    "unknown_command_with_two_content_frames": Deviation(
        "what cannot be read is answered ERROR 500 and ends the session, where C says nothing",
        {"x": ["OK", "ERROR 500"]},
    ),
}


class ClientDeviation(NamedTuple):
    """One recorded client: the reason, what ours sends beyond what C's sent, and what its program is told."""

    why: str
    sends: list[str] = []  # noqa: RUF012  # a tuple's field, and nobody changes it
    failures: list[str] = []  # noqa: RUF012  # likewise


CLIENT_DEVIATIONS: dict[tuple[str, str], ClientDeviation] = {
    ("broker_restart_after_stream_cancel", "c"): ClientDeviation(
        "C's replay hangs at its STREAM-CANCEL; ours goes on to the offer behind it", ["SERVICE-OFFER"]
    ),
    ("broker_restart_replay", "pub"): ClientDeviation(
        "what the old broker is not known to have had is sent again", ["STREAM-SEND"]
    ),
    ("c_client_offer_refused_300", "c"): ClientDeviation(
        "C's client stops for good; ours says why", failures=["the broker refuses: invalid pattern"]
    ),
    ("c_client_offer_refused_400", "c"): ClientDeviation(
        "C's client stops for good; ours says why", failures=["the broker refuses: invalid pattern"]
    ),
    ("c_client_offer_refused_500", "c"): ClientDeviation(
        "ours opens again at the last ERROR 500 too", ["CONNECTION-OPEN"]
    ),
    ("c_client_ok_with_extra_frame", "c"): ClientDeviation(
        "C's client stops for good; ours drops what it cannot read, and knocks again", ["CONNECTION-OPEN"]
    ),
    ("c_client_open_answered_500_then_ok", "c"): ClientDeviation(
        "ours opens again at each ERROR 500", ["CONNECTION-OPEN"] * 4
    ),
    ("c_client_open_refused_300", "c"): ClientDeviation(
        "a program is told why it cannot connect", failures=["the broker refuses: refused"]
    ),
    ("c_client_open_refused_401", "c"): ClientDeviation(
        "C's connect hangs; ours fails and says why", failures=["the broker refuses: refused"]
    ),
    ("confirm_to_broker", "x"): ClientDeviation("after its ERROR ours opens again", ["CONNECTION-OPEN"]),
    ("duplicate_address", "one"): ClientDeviation("ours sets up again what it had set up", ["SERVICE-OFFER"]),
    ("duplicate_address", "two"): ClientDeviation("after its ERROR ours opens again", ["CONNECTION-OPEN"]),
    ("duplicate_address_send_and_close", "one"): ClientDeviation(
        "after its ERROR ours opens again", ["CONNECTION-OPEN"]
    ),
}
"""Where our client sends, or tells its program, more than C's did in the recorded conversations, and why."""
