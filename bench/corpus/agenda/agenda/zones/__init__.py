from .lookup import as_zone
from .names import local_name
