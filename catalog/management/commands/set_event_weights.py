"""manage.py set_event_weights CATALOG purchase=1 view=0.1: what the dashboard's sliders do."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from catalog.dials import counted_types, set_event_weights
from catalog.named_numbers import change_catalog


class Command(BaseCommand):
    help = "Say how much each interaction type counts in a catalog. Without any: print the weights."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("weights", nargs="*", metavar="TYPE=WEIGHT", help="such as view=0.1")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = change_catalog(options["catalog"], options["weights"], set_event_weights)
        told = " ".join(f"{name}={value:g}" for name, value in counted_types(catalog).items())
        self.stdout.write(f"{catalog.slug}: {told}")
