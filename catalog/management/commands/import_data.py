"""Bring items, offers, users and interactions in from files."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import CatalogError
from catalog.importers import mapping
from catalog.importers.files import Origin, Outcome, import_by_kind
from catalog.models import Catalog


class Command(BaseCommand):
    help = "Import CSV, JSON Lines or Parquet files; see docs/data-formats.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="made by create_catalog")
        parser.add_argument("--items", type=Path, metavar="FILE")
        parser.add_argument("--offers", type=Path, metavar="FILE")
        parser.add_argument("--users", type=Path, metavar="FILE")
        parser.add_argument("--interactions", type=Path, metavar="FILE")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=FIELD",
            help="a column of the file that has another name with us; COLUMN= leaves it out",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would come of it, and write nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = ("items", "offers", "users", "interactions")
        files = {kind: options[kind] for kind in kinds if options[kind]}
        if not files:
            raise CommandError(
                "Name at least one file: --items, --offers, --users or --interactions."
            )
        if options["map"] and len(files) > 1:
            raise CommandError("--map speaks of one file; import them one after another.")
        try:
            catalog = Catalog.objects.get(slug=options["catalog"])
        except Catalog.DoesNotExist:
            raise CommandError(
                f"There is no catalog '{options['catalog']}'; make it with"
                f" manage.py create_catalog {options['catalog']} --kind product|article"
            ) from None
        try:
            outcome = import_by_kind(
                catalog,
                files,
                names={next(iter(files)): mapping.parse(options["map"])},
                origin=Origin(is_dry=options["dry_run"]),
                say=self._say,
            )
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
            self.stdout.write(str(summary))
        if outcome.number is None:
            self._show_bad(outcome)
        if outcome.report:
            self.stdout.write(f"{outcome.bad:,} bad rows are listed in {outcome.report}")
        if outcome.number is None:
            self.stdout.write("Nothing was written: this was a dry run.")
        else:
            self.stdout.write(f"manage.py undo_import {outcome.number} takes it back.")

    def _show_bad(self, outcome: Outcome) -> None:
        for file, row in outcome.first_bad:
            self.stdout.write(f"{file}, line {row.line}: {row.field} {row.reason}")
