from .reader import Row, read_rows
from .feed import *

__all__ = feed.__all__ + ["Row", "read_rows"]
