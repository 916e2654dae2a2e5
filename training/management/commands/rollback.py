"""manage.py rollback CATALOG --reason: return to the model that was live before."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_catalog
from training.errors import TrainingFault
from training.registry import roll_back


class Command(BaseCommand):
    help = "Return to the model that was live before the present one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            change = roll_back(find_catalog(options["catalog"]), None, options["reason"])
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"live: {change.to_bundle or 'no model; encoder and popularity answer'}")
