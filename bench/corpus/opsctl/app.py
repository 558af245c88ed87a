import shlex

from click.testing import CliRunner

import opsctl.commands
from opsctl.cli import cli
from opsctl.registry import REGISTRY


def handler(event, context):
    line = event.get("command", "--help")
    arguments = shlex.split(line) if isinstance(line, str) else list(line)
    result = CliRunner().invoke(cli, arguments, prog_name="opsctl", color=event.get("color", False))
    answer = {"code": result.exit_code, "output": result.output.splitlines()}
    if result.exception and not isinstance(result.exception, SystemExit):
        answer["exception"] = repr(result.exception)
    chosen = next((argument for argument in arguments if argument in REGISTRY), None)
    if chosen:
        answer["tags"] = REGISTRY[chosen].tags
    return answer
