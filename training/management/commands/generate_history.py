"""manage.py generate_history CATALOG: a long made-up history, to see how pages bear it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from training.errors import TrainingFault
from training.history import generate


class Command(BaseCommand):
    help = "Fill a catalog that holds nothing real with made-up runs, models and interactions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog")
        parser.add_argument("--runs", type=int, default=500)
        parser.add_argument("--bundles", type=int, default=50)
        parser.add_argument("--interactions", type=int, default=10_000_000)

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = Catalog.objects.filter(slug=options["catalog"]).first()
        if catalog is None:
            raise CommandError(
                f"There is no catalog '{options['catalog']}': manage.py create_catalog makes one."
            )
        runs, bundles, interactions = (
            options[name] for name in ("runs", "bundles", "interactions")
        )
        if min(runs, bundles, interactions) < 0:
            raise CommandError("Give numbers of 0 and more.")
        try:
            generate(catalog, runs, bundles, interactions, self.stdout.write)
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
