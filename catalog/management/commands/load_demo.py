"""Load a demo catalog."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog import demo
from catalog.errors import CatalogError


class Command(BaseCommand):
    help = "Load the demo shop or the demo news; a second run changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", choices=sorted(demo.LOADERS))
        parser.add_argument("--scale", choices=demo.SCALES, default="small")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demo.load(options["slug"], options["scale"], self._say)
        except CatalogError as error:
            raise CommandError(str(error)) from None

    def _say(self, stage: str, done: int, total: int | None) -> None:
        self.stdout.write(f"{stage}: {done:,} of {total:,}" if total else f"{stage}: {done:,}")
