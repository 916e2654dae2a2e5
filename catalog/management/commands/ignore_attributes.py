"""manage.py ignore_attributes CATALOG [NAME …]: what of people is not to be learned from."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.creation import ignore_attributes
from catalog.errors import CatalogError
from catalog.models import Catalog


class Command(BaseCommand):
    help = (
        "Let a catalog learn nothing from these attributes of people, and rank nothing by them; "
        "from the next request on. Without NAME it may use all of them, as at first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("names", nargs="*", metavar="NAME", help="such as gender")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = Catalog.objects.filter(slug=options["catalog"]).first()
        if catalog is None:
            raise CommandError(f"There is no catalog '{options['catalog']}'.")
        try:
            ignored = ignore_attributes(catalog, options["names"])
        except CatalogError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{catalog.slug} ignores {', '.join(ignored) or 'no attribute of people'}"
        )
