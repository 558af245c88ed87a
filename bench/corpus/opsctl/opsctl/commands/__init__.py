# Each of these registers its commands.
from opsctl.commands import deploy  # noqa: F401
from opsctl.commands import hosts  # noqa: F401
from opsctl.commands import report  # noqa: F401
