"""manage.py ignore_attributes CATALOG [NAME …]: what of people is not to be learned from."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.creation import ignore_attributes
from catalog.models import Catalog
from catalog.people import attribute_names


class Command(BaseCommand):
    help = (
        "Let a catalog learn nothing from these attributes of people, and rank nothing by them, "
        "from the next request on. These and no others: it reads again what was named before. "
        "Without NAME it may read all, as at first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="such as gender, or address.city"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = Catalog.objects.filter(slug=options["catalog"]).first()
        if catalog is None:
            raise CommandError(f"There is no catalog '{options['catalog']}'.")
        ignored = ignore_attributes(catalog, options["names"])
        known = attribute_names()
        for name in ignored:
            if name.partition(".")[0] not in known:
                self.stderr.write(
                    f"Nobody has an attribute '{name}' yet. Known: {', '.join(known) or 'none'}."
                )
        self.stdout.write(
            f"{catalog.slug} ignores {', '.join(ignored) or 'no attribute of people'}"
        )
