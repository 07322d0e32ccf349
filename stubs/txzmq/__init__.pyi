from typing import Any, NamedTuple

import zmq

class ZmqEndpointType:
    bind: str
    connect: str

class ZmqEndpoint(NamedTuple):
    type: str
    address: str

class ZmqFactory:
    reactor: Any
    ioThreads: int
    lingerPeriod: int
    connections: set[ZmqConnection] | None
    context: zmq.Context[zmq.Socket[bytes]]
    def __init__(self) -> None: ...
    def shutdown(self) -> None: ...

class ZmqConnection:
    socketType: int | None
    highWaterMark: int
    reconnectInterval: int
    reconnectIntervalMax: int
    factory: ZmqFactory | None
    socket: zmq.Socket[bytes]
    fd: int
    def __init__(
        self, factory: ZmqFactory, endpoint: ZmqEndpoint | None = None, identity: bytes | None = None
    ) -> None: ...
    def addEndpoints(self, endpoints: list[ZmqEndpoint]) -> None: ...
    def shutdown(self) -> None: ...
    def doRead(self) -> None: ...
    def send(self, message: bytes | list[bytes]) -> None: ...
    def messageReceived(self, message: list[bytes]) -> None: ...
