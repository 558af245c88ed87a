"""A network of stations. What is costly is imported when it is asked for."""

import importlib
from typing import TYPE_CHECKING

from .loading import Network, load

if TYPE_CHECKING:
    from .ranking import rank

_LATER = {"rank": "network.ranking", "bottleneck": "network.flows"}


def __getattr__(name):
    if name in _LATER:
        value = getattr(importlib.import_module(_LATER[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(set(globals()) | set(_LATER))
