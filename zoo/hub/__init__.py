"""The hub: trained weights go there and come back for fine-tuning."""

from zoo.hub.fetching import fetch
from zoo.hub.names import SCHEME, HubName, parse
from zoo.hub.publishing import publish

__all__ = ["SCHEME", "HubName", "fetch", "parse", "publish"]
