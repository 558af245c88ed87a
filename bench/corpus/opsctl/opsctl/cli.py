"""The command line that operators know, for a function as well."""

import click

from opsctl import __version__
from opsctl.registry import REGISTRY


class Group(click.Group):
    def list_commands(self, ctx):
        return sorted(REGISTRY)

    def get_command(self, ctx, name):
        entry = REGISTRY.get(name)
        return entry.command if entry else None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="opsctl")
@click.option("--stage", type=click.Choice(["test", "prod"]), default="test", show_default=True)
@click.pass_context
def cli(ctx, stage):
    """Looks after the fleet."""
    ctx.obj = {"stage": stage}
