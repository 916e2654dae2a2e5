"""Measure how fast files come in."""

import csv
import tempfile
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.creation import create_catalog
from catalog.demo import shop_data
from catalog.errors import CatalogError
from catalog.importers.files import import_files
from catalog.models import Catalog

SLUG = "bench-import"


class Command(BaseCommand):
    help = (
        "Write the demo shop's 92,331 products and 1,469,307 purchases as CSV, import them into a"
        " catalog of their own twice, print the seconds, and delete it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rows", type=int, help="only so many purchases")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            Catalog.objects.filter(slug=SLUG).delete()
            catalog = create_catalog(SLUG, kind="product", repeat_consumption=True)
            with tempfile.TemporaryDirectory() as folder:
                items, interactions = _write(Path(folder), options["rows"])
                for run in ("first run", "second run"):
                    start = time.monotonic()
                    outcome = import_files(
                        catalog, items_file=items, interactions_file=interactions
                    )
                    seconds = time.monotonic() - start
                    self.stdout.write(f"{run}: {seconds:.1f} s")
                    for part in outcome.summaries:
                        self.stdout.write(
                            f"  {part.kind}: {part.rows:,} rows, {part.added:,} new,"
                            f" {part.unchanged:,} unchanged, {part.bad:,} bad"
                        )
        except CatalogError as error:
            raise CommandError(str(error)) from None
        finally:
            Catalog.objects.filter(slug=SLUG).delete()


def _write(folder: Path, rows: int | None) -> tuple[Path, Path]:
    """The products and the purchases as files."""
    items, interactions = folder / "items.csv", folder / "interactions.csv"
    with items.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "title", "category", "brand", "size"])
        writer.writerows(
            (
                product["product_id"],
                product["product_type"] or "unknown",
                f"{product['department']} > {product['product_category']}",
                product["brand"],
                product["package_size"],
            )
            for product in shop_data.products()
        )
    lines = shop_data.purchases()
    with interactions.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp", "type", "value"])
        columns = [lines.household, lines.product, lines.seconds, lines.quantity]
        for user, item, second, quantity in zip(
            *(column[:rows].tolist() for column in columns), strict=True
        ):
            writer.writerow([f"household-{user}", item, second, "purchase", quantity])
    return items, interactions
