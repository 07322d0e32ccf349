"""The interfaces of the parts that have more than one implementation: stores and networks."""

from alaska.interfaces.network import ILink, INetwork, IRouter, Reactor
from alaska.interfaces.store import IBackup, IStore, Refused
from alaska.mlm.states import LinkState

__all__ = ["IBackup", "ILink", "INetwork", "IRouter", "IStore", "LinkState", "Reactor", "Refused"]
