"""Make a program's key to one catalog."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from recsite.api.keys import create_key


class Command(BaseCommand):
    """Prints a new key, once."""

    help = "Make an API key to a catalog and print it. Only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which catalog, and what the key is called in lists."""
        parser.add_argument("catalog", help="slug of the catalog that the key opens")
        parser.add_argument("--name", required=True, help="what uses the key, e.g. 'web shop'")

    def handle(self, *args: Any, catalog: str, name: str, **options: Any) -> None:
        """Make and print it."""
        try:
            found = Catalog.objects.get(slug=catalog)
        except Catalog.DoesNotExist:
            slugs = ", ".join(Catalog.objects.order_by("slug").values_list("slug", flat=True))
            message = f"no catalog '{catalog}'; there are: {slugs or 'none'}"
            raise CommandError(message) from None
        self.stdout.write(create_key(found, name[:100]))
