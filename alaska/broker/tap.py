"""``twistd malamute``: the command-line options of the broker, and the objects it is made of."""

from __future__ import annotations

from functools import partial

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python.usage import Options as BaseOptions

from alaska.admin.http.checking import problems
from alaska.admin.http.pages import Contents, serve
from alaska.admin.in_force import in_force_of
from alaska.authentication import Mechanism
from alaska.broker.credentials import read_credentials
from alaska.broker.flow_control import FlowLimits
from alaska.broker.http import add_broker
from alaska.broker.limits import DeadLetterLimits, IdLimits, Limits, QueueLimits, UnreadLimits
from alaska.broker.security import THREADS, Security
from alaska.broker.service import BrokerService
from alaska.config import BrokerSettings, Loaded, letters, load_broker
from alaska.daemon import configuration_report, log, starting
from alaska.daemon.background import BackgroundStart
from alaska.daemon.program import Program
from alaska.daemon.reload import Change, ConfigurationFile, Reload
from alaska.errors import ScheduleError
from alaska.interfaces import Reactor
from alaska.links import default_reactor, sharing_networks
from alaska.message import Retention
from alaska.schedules import zones
from alaska.schedules.schedule import Plan
from alaska.store.sqlite import store_at
from alaska.system.memory import return_large_blocks
from alaska.system.threads import Threads
from alaska.traces.service import Recording

_log = Logger()

LIVE_SECURITY = ("password_file", "client_keys", "auth_verbose")
"""The settings that :class:`Security` applies when the configuration is reloaded."""


class Options(BaseOptions):
    """The command-line options of the broker."""

    synopsis = "[options]"
    longdesc = "A Malamute broker. It reads the C broker's configuration file."
    optParameters = [  # noqa: RUF012  # Twisted's interface
        ["config", "c", None, f"The configuration file; default: {BrokerSettings.file}, created if it is missing."]
    ]
    optFlags = configuration_report.FLAGS

    loaded: Loaded[BrokerSettings]
    background: BackgroundStart | None = None

    def postOptions(self) -> None:
        """Load the file and pass its settings to twistd; if it is invalid, exit with an error message."""
        if configuration_report.is_wanted(self):
            checked = configuration_report.check_file(BrokerSettings, self["config"], self.parent, problems)
            raise configuration_report.report(self, [checked])
        self.loaded = starting.load_or_exit(load_broker, self["config"], BrokerSettings.file)
        self["config"] = self["config"] or BrokerSettings.file
        if self.parent is not None:
            starting.enough_descriptors_or_exit(self.loaded.settings)
            starting.apply(self.loaded.settings, self.parent, "malamute")
            starting.require_files(self.loaded.settings, self.parent)
            self.background = starting.begin(self.parent)


def unread_of(settings: BrokerSettings) -> tuple[tuple[bytes, UnreadLimits], ...]:
    """Return the limits of mailboxes that nobody reads, by pattern; what one does not say is as in general."""
    messages, octets, age = settings.mailbox_messages, settings.mailbox_octets, settings.mailbox_age
    found = []
    for each in settings.mailbox_unread:
        milliseconds = age if each.age is None else each.age
        limits = UnreadLimits(
            messages if each.messages is None else each.messages,
            octets if each.octets is None else each.octets,
            None if milliseconds is None else milliseconds / 1000,
        )
        found.append((each.pattern, limits))
    return tuple(found)


def _dead_letters_of(settings: BrokerSettings) -> DeadLetterLimits:
    return DeadLetterLimits(
        settings.letters_count,
        letters.most_octets(settings.letters_size, settings.letters_size_limit),
        letters.most_seconds(settings.letters_age, settings.letters_ttl),
        settings.letters_open,
    )


def limits_of(settings: BrokerSettings) -> Limits:
    """Return the limits from the settings."""
    return Limits(
        client_timeout=settings.timeout / 1000 if settings.timeout else float("inf"),
        unread=UnreadLimits(
            settings.mailbox_messages,
            settings.mailbox_octets,
            None if settings.mailbox_age is None else settings.mailbox_age / 1000,
        ),
        unread_of=unread_of(settings),
        mailbox_seconds=None if settings.mailbox_ttl is None else settings.mailbox_ttl / 1000,
        mailbox=QueueLimits(settings.mailbox_size_limit, settings.mailbox_size_warn),
        service=QueueLimits(settings.service_size_limit, settings.service_size_warn),
        stream=QueueLimits(settings.stream_size_limit, settings.stream_size_warn),
        total=QueueLimits(settings.total_size_limit, settings.total_size_warn),
        content_octets=settings.content_size_limit,
        clients=settings.client_limit,
        patterns_of_one=settings.client_patterns,
        patterns=settings.patterns,
        patterns_of_name=settings.patterns_of_name,
        queues=settings.queues,
        streams=settings.streams,
        attempts=settings.service_attempts,
        dead_letters=_dead_letters_of(settings),
        dead_letter_services=dict(settings.dead_letter_services),
        ids=IdLimits(settings.dedupe, settings.ids_of_queue, settings.ids),
        flow=FlowLimits(settings.unread_count, settings.unread_size),
        unconfirmed_octets=settings.unconfirmed_size,
        retention=Retention(settings.retain_count, settings.retain_size, settings.retain_age),
        retention_of=dict(settings.retain_streams),
        bindings=settings.bindings,
        durable_readers=settings.durable_readers,
        durable_reader_seconds=settings.durable_reader_ttl,
        of_services=settings.service_limits,
        ageing=settings.ageing / 1000 if settings.ageing else None,
    )


def security_of(
    settings: BrokerSettings, reactor: Reactor, file: ConfigurationFile[BrokerSettings] | None = None
) -> Security | None:
    """Return what decides about connections, or None if no endpoint has security.

    The passwords and keys are read again when ``file`` is reloaded.
    """
    if settings.mechanisms <= {Mechanism.NULL}:
        return None
    run = Threads(reactor, THREADS).run
    security = Security(partial(read_credentials, settings), run, settings.auth_verbose)
    if file is not None:
        file.add(LIVE_SECURITY, security.prepare)
    return security


LIVE_LIMITS = (
    "timeout", "service_size_limit", "service_size_warn", "mailbox_size_limit", "mailbox_size_warn",
    "mailbox_ttl", "mailbox_messages", "mailbox_octets", "mailbox_age", "mailbox_unread",
    "service_attempts", "letters_count", "letters_size", "letters_size_limit", "letters_age", "letters_ttl",
    "letters_open", "dead_letter_services",
    "total_size_limit", "total_size_warn", "content_size_limit", "client_limit", "client_patterns",
    "unread_size", "unconfirmed_size", "patterns", "patterns_of_name", "queues", "streams",
    "dedupe", "ids_of_queue", "ids",
    "stream_size_limit", "stream_size_warn", "bindings", "durable_readers", "durable_reader_ttl",
    "service_limits", "ageing",
)  # fmt: skip
"""The settings that :func:`reload_limits` applies."""


def reload_limits(service: BrokerService, file: ConfigurationFile[BrokerSettings]) -> None:
    """Let a broker change its limits whenever its configuration file is reloaded."""
    file.add(LIVE_LIMITS, lambda settings: Change(lambda: service.configure(limits_of(settings))))


def reload_rules(service: BrokerService, file: ConfigurationFile[BrokerSettings]) -> None:
    """Let a broker replace its access rules whenever its configuration file is reloaded."""
    file.add(("access",), lambda settings: Change(lambda: service.replace_rules(settings.access)))


def plan_of(settings: BrokerSettings) -> Plan:
    """Return the schedules of the settings. If the machine's time zone is needed and cannot be read, it is UTC."""
    if settings.schedule_zone is not None:
        return Plan(settings.schedules, zones.zone(settings.schedule_zone))
    try:
        return Plan(settings.schedules, zones.of_machine())
    except ScheduleError as error:
        _log.warn("{error}; schedules without a zone of their own are in UTC", error=error)
        return Plan(settings.schedules)


def reload_schedules(service: BrokerService, file: ConfigurationFile[BrokerSettings]) -> None:
    """Let a broker replace its schedules whenever its configuration file is reloaded."""
    names = "schedules", "schedule_zone"
    file.add(names, lambda settings: Change(lambda: service.replace_plan(plan_of(settings))))


def makeService(options: Options) -> IService:
    """Return the broker for the options; nothing is opened before it starts."""
    settings = options.loaded.settings
    starting.report(options["config"], options.loaded)
    return_large_blocks()
    for line in settings.echo:
        _log.info("{line}", line=line)
    used = dict.fromkeys(bind.mechanism.name for bind in settings.binds)
    _log.info("server is using {mechanisms} security", mechanisms=" and ".join(used))
    reactor = default_reactor()
    file = ConfigurationFile(options["config"], load_broker, options.loaded)
    program = Program(reactor, options.parent, options.background, Reload(reactor, [file]))
    make_network = sharing_networks(reactor)
    service = BrokerService(
        reactor,
        make_network,
        lambda: store_at(reactor, settings.store_path, settings.store_sync),
        settings.binds,
        limits_of(settings),
        security_of(settings, reactor, file),
        settings.domain,
        rules=settings.access,
    )
    service.configuration = in_force_of(file)
    service.plan = plan_of(settings)
    reload_rules(service, file)
    reload_limits(service, file)
    reload_schedules(service, file)
    file.add(log.LIVE, log.prepare)
    recording = Recording(reactor, "alaska-broker")
    if settings.traces_spans:
        recording.setServiceParent(program)
    contents = Contents(spans=lambda: recording.spans)
    add_broker(contents, service, settings, make_network)
    serve(reactor, settings, contents, program, [service], file)
    return program
