from .keys import KeyRing, load_key_ring
from .sealing import Sealer
from .tokens import TokenService

__all__ = ["KeyRing", "Sealer", "TokenService", "load_key_ring"]
