"""manage.py gate CATALOG [BUNDLE] [--set NAME=VALUE]: a gate's limits, and what it says."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_catalog, find_version, say_gate
from training.errors import TrainingFault
from training.gate import gate
from training.gate_limits import LIMITS, limits_of, set_limits
from training.registry import live_version
from training.rehearsal import try_out


class Command(BaseCommand):
    help = (
        "The limits of a catalog's gate; with a bundle, try that out on this machine and say what "
        "the gate says. Ends with 1 where a check is red."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("bundle", nargs="?", default="")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"another limit; an empty value brings the usual one back. {', '.join(LIMITS)}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        pairs = [text.partition("=") for text in options["set"]]
        if bad := next((text for text in options["set"] if "=" not in text), None):
            raise CommandError(f"--set {bad!r} is not NAME=VALUE.")
        try:
            set_limits(catalog, {name: value for name, _, value in pairs})
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        if not options["bundle"]:
            for name, value in limits_of(catalog).items():
                self.stdout.write(f"{name} = {value:g}  {LIMITS[name].words}")
            return
        version, live = find_version(options["bundle"]), live_version(catalog)
        if version.catalog_id != catalog.pk:
            raise CommandError(f"{version.bundle_id} is a model of {version.catalog.slug}.")
        try_out(version, live if live is not None and live.pk != version.pk else None)
        checks = gate(version, live)
        say_gate(checks, self.stdout.write)
        if any(check.ok is False for check in checks):
            raise CommandError("The gate is red.")
