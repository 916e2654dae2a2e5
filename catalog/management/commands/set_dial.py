"""manage.py set_dial CATALOG diversity=0.2: what the dashboard's dials do."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from catalog.dials import DIALS, dials_of, set_dials
from catalog.named_numbers import change_catalog


class Command(BaseCommand):
    help = f"Turn dials of a catalog: {', '.join(DIALS)}. Without any: print how they stand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("dials", nargs="*", metavar="DIAL=NUMBER", help="such as diversity=0.2")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = change_catalog(options["catalog"], options["dials"], set_dials)
        told = " ".join(f"{name}={value:g}" for name, value in dials_of(catalog).items())
        self.stdout.write(f"{catalog.slug}: {told}")
