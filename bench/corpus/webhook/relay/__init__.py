"""Relays webhooks of a code forge into a chat."""

from relay.clients import cache, chat
from relay.settings import Settings, settings

__version__ = "0.9.2"
__all__ = ["Settings", "__version__", "cache", "chat", "settings"]
