"""The hub: trained weights go there and come back for fine-tuning."""

from zoo.hub.cache import cached, prune
from zoo.hub.fetching import fetch
from zoo.hub.names import SCHEME, HubName, parse
from zoo.hub.publishing import Published, prepare, publish, send

__all__ = ["SCHEME", "HubName", "Published", "cached", "fetch", "parse", "prepare", "prune", "publish", "send"]
