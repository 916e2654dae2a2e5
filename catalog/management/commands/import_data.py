"""Bring items, offers, users and interactions in from files."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import CatalogError
from catalog.importers.files import Outcome, import_files
from catalog.models import Catalog


class Command(BaseCommand):
    help = "Import CSV, JSON Lines or Parquet files; see docs/data-formats.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="made by create_catalog")
        parser.add_argument("--items", type=Path, metavar="FILE")
        parser.add_argument("--offers", type=Path, metavar="FILE")
        parser.add_argument("--users", type=Path, metavar="FILE")
        parser.add_argument("--interactions", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = ("items", "offers", "users", "interactions")
        files = {f"{kind}_file": options[kind] for kind in kinds}
        if not any(files.values()):
            raise CommandError(
                "Name at least one file: --items, --offers, --users or --interactions."
            )
        try:
            catalog = Catalog.objects.get(slug=options["catalog"])
        except Catalog.DoesNotExist:
            raise CommandError(
                f"There is no catalog '{options['catalog']}'; make it with"
                f" manage.py create_catalog {options['catalog']} --kind product|article"
            ) from None
        try:
            outcome = import_files(catalog, **files, say=self._say)
        except CatalogError as error:
            raise CommandError(str(error)) from None
        self._sum_up(outcome)

    def _say(self, stage: str, rows: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{stage}: {rows:,} rows", ending="")
            self.stderr.flush()

    def _sum_up(self, outcome: Outcome) -> None:
        if self.stderr.isatty():
            self.stderr.write("")
        for summary in outcome.summaries:
            self.stdout.write(
                f"{summary.kind}: {summary.rows:,} rows: {summary.added:,} new,"
                f" {summary.changed:,} changed, {summary.unchanged:,} unchanged,"
                f" {summary.bad:,} bad"
            )
        if outcome.report:
            self.stdout.write(f"{outcome.bad:,} bad rows are listed in {outcome.report}")
