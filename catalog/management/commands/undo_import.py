"""manage.py undo_import ID: take back what an import added and changed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import CatalogError
from catalog.importers.undo import undo


class Command(BaseCommand):
    help = "Undo an import: remove what it added, give back what it changed. For 30 days."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", type=int, metavar="ID", help="import_data prints it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = undo(options["number"], "manage.py undo_import")
        except CatalogError as error:
            raise CommandError(str(error)) from None
        for kind, rows in made.undone.items():
            self.stdout.write(
                f"{kind}: {rows['removed']:,} removed, {rows['restored']:,} restored,"
                f" {rows['kept']:,} kept, because they have changed or are in use since"
            )
        self.stdout.write(f"Import {made.pk} is undone.")
