"""manage.py learn_from CATALOG [OTHER …]: which other catalogs' histories may help here."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.creation import learn_from
from catalog.errors import CatalogError
from catalog.models import Catalog


class Command(BaseCommand):
    help = (
        "Let a catalog read what people did in others while it knows little of them, by texts "
        "that the same encoder read. Without OTHER it reads none, as at first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog that learns")
        parser.add_argument("others", nargs="*", metavar="OTHER", help="slugs it may learn from")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = Catalog.objects.filter(slug=options["catalog"]).first()
        if catalog is None:
            raise CommandError(f"There is no catalog '{options['catalog']}'.")
        try:
            others = learn_from(catalog, options["others"])
        except CatalogError as error:
            raise CommandError(str(error)) from None
        told = ", ".join(other.slug for other in others)
        self.stdout.write(f"{catalog.slug} learns from {told or 'no other catalog'}")
