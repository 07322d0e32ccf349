"""``twistd malamute``: the broker."""

from twisted.application.service import ServiceMaker

malamute = ServiceMaker("Malamute", "alaska.broker.tap", "Serve as a Malamute broker.", "malamute")
