"""manage.py set_encoder CATALOG --encoder MODEL: give a catalog an encoder of its own."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from ranking.encoder import set_encoder
from ranking.encoder_arguments import add_encoder_arguments, encoder_told
from ranking.errors import RankingFault


class Command(BaseCommand):
    help = (
        "Give a catalog an encoder of its own; without --encoder, that of the settings. It is "
        "loaded once, to be sure. A training uses it with --param encoder=configured; without "
        "that, one goes on with the learned encoder of the live model, where that has one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_encoder_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = Catalog.objects.filter(slug=options["catalog"]).first()
        if catalog is None:
            raise CommandError(f"There is no catalog {options['catalog']!r}.")
        told = encoder_told(options)
        try:
            set_encoder(catalog, told)
        except RankingFault as fault:
            raise CommandError(str(fault)) from None
        named = told.get("model", "the one of the settings")
        self.stdout.write(
            f"{catalog.slug}: encoder {named}; next: manage.py train {catalog.slug} --param "
            "encoder=configured"
        )
