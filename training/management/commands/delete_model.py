"""manage.py delete_model BUNDLE [--yes]: a registered model, and what depends on it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_version
from training.errors import TrainingFault
from training.registry import delete, depends_on


class Command(BaseCommand):
    help = "Delete a model with its bundle, and its snapshot if no other needs that."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bundle", help="id of the bundle, as the dashboard shows it")
        parser.add_argument("--yes", action="store_true", help="do it; without, only say what goes")

    def handle(self, *args: Any, **options: Any) -> None:
        version = find_version(options["bundle"])
        if not options["yes"]:
            for what in depends_on(version):
                self.stdout.write(f"would go: {what}")
            self.stdout.write("Nothing has gone yet: say --yes.")
            return
        try:
            gone = delete(version)
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        for what in gone:
            self.stdout.write(f"gone: {what}")
