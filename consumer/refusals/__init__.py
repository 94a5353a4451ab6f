"""Deliveries refused for their signature: kept off the request path and within bounds."""

from consumer.refusals.bounds import Bounds
from consumer.refusals.keeper import Keeper
from consumer.refusals.peers import KnownPeers
from consumer.refusals.queue import Refusals

__all__ = ["Bounds", "Keeper", "KnownPeers", "Refusals"]
