"""An import path that programs may still use: :mod:`alaska.client.delivery`."""

from alaska.client.delivery import Confirmation, Delivery, to_octets, to_text

__all__ = ["Confirmation", "Delivery", "to_octets", "to_text"]
