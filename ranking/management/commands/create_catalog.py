"""Make a catalog."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from catalog.creation import create_catalog
from catalog.errors import CatalogError
from catalog.models import EVENT_WEIGHTS
from ranking.encoder import set_encoder
from ranking.encoder_arguments import add_encoder_arguments, encoder_told
from ranking.errors import RankingFault


class Command(BaseCommand):
    help = "Make a new, empty catalog."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its name in addresses and commands")
        parser.add_argument("--kind", required=True, choices=sorted(EVENT_WEIGHTS))
        parser.add_argument("--name", default="", help="what pages call it")
        parser.add_argument("--language", default="en")
        parser.add_argument(
            "--repeat-consumption", action="store_true", help="people take an item again: groceries"
        )
        add_encoder_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():  # without its encoder it is not wanted
                catalog = create_catalog(
                    options["slug"],
                    kind=options["kind"],
                    name=options["name"],
                    language=options["language"],
                    repeat_consumption=options["repeat_consumption"],
                )
                if told := encoder_told(options):
                    set_encoder(catalog, told)
        except (CatalogError, RankingFault) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"made catalog {catalog.slug}; next: manage.py import_data {catalog.slug} --items FILE"
        )
