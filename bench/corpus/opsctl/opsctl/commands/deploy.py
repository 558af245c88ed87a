import click

from opsctl.registry import register


class Version(click.ParamType):
    name = "version"

    def convert(self, value, param, ctx):
        try:
            return tuple(int(part) for part in value.lstrip("v").split("."))
        except ValueError:
            self.fail(f"{value!r} is no version", param, ctx)


@register("write")
@click.command("deploy")
@click.argument("service")
@click.option("--version", "version", type=Version(), required=True)
@click.option("--dry-run/--no-dry-run", default=True)
@click.pass_obj
def deploy(obj, service, version, dry_run):
    """Puts a version of SERVICE onto the fleet."""
    if obj["stage"] == "prod" and version[0] == 0:
        raise click.ClickException("no version 0 goes into production")
    verb = click.style("would deploy", bold=True) if dry_run else "deploys"
    click.echo(f"{verb} {service} {'.'.join(map(str, version))} to {obj['stage']}")
