import fnmatch

import click

from opsctl.registry import register

HOSTS = {"web-1": ("north", 0.31), "web-2": ("south", 0.92), "db-1": ("north", 0.55), "queue-1": ("south", 0.08)}


@register("read")
@click.command("hosts")
@click.argument("pattern", default="*")
@click.option("--busy", type=click.FloatRange(0, 1), help="Only those that are busier than this.")
def hosts(pattern, busy):
    """Lists the hosts whose names match PATTERN."""
    for name, (region, load) in sorted(HOSTS.items()):
        if fnmatch.fnmatch(name, pattern) and (busy is None or load > busy):
            click.echo(f"{name:<10}{region:<8}{load:4.0%}")
