from dataclasses import dataclass, field
from typing import Callable

import click

REGISTRY: "dict[str, Entry]" = {}


@dataclass
class Entry:
    command: click.Command
    tags: list = field(default_factory=list)


def register(*tags: str) -> Callable[[click.Command], click.Command]:
    def add(command: click.Command) -> click.Command:
        REGISTRY[command.name] = Entry(command, list(tags))
        return command

    return add
