"""manage.py promote BUNDLE --reason: put a registered model live."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_version, say_gate
from training.errors import TrainingFault
from training.gate import gate
from training.registry import live_version, promote
from training.rehearsal import try_if_needed


class Command(BaseCommand):
    help = "Make a registered model the live one of its catalog, unless its gate is red."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bundle", help="id of the bundle, as the dashboard shows it")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--force", action="store_true", help="even if the gate is red")

    def handle(self, *args: Any, **options: Any) -> None:
        version = find_version(options["bundle"])
        live = live_version(version.catalog)
        try_if_needed(version, live)
        say_gate(gate(version, live), self.stdout.write)
        try:
            promote(version, None, options["reason"], force=options["force"])
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"live: {version.bundle_id}")
