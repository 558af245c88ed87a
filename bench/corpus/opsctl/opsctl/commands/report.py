import io

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.tree import Tree

from opsctl.commands.hosts import HOSTS
from opsctl.registry import register


@register("read", "slow")
@click.command("report")
@click.option("--style", type=click.Choice(["table", "tree", "prose"]), default="table")
def report(style):
    """Draws the fleet."""
    console = Console(file=io.StringIO(), width=60, force_terminal=False, _environ={})
    if style == "table":
        table = Table("Host", "Region", "Load", title="Fleet")
        for name, (region, load) in HOSTS.items():
            table.add_row(name, region, f"{load:.0%}", style="bold" if load > 0.9 else None)
        console.print(table)
    elif style == "tree":
        tree = Tree("Fleet")
        for region in sorted({region for region, _ in HOSTS.values()}):
            branch = tree.add(region)
            for name, (where, _) in HOSTS.items():
                if where == region:
                    branch.add(name)
        console.print(tree)
    else:
        console.print(Markdown(f"# Fleet\n\n{len(HOSTS)} hosts, *{sum(l for _, l in HOSTS.values()):.2f}* busy"))
    click.echo(console.file.getvalue().rstrip())
