"""manage.py refresh_embeddings CATALOG: encode what is new or changed, in the foreground."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_catalog, follow
from training.errors import TrainingFault
from training.models import TrainingRun
from training.refresh import encoder_settings
from training.runs import create_claimed
from training.watcher import owner_name


class Command(BaseCommand):
    help = "Encode the items of a catalog that are new or changed. Ctrl-C cancels the run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        try:
            run, lease = create_claimed(
                catalog,
                TrainingRun.Kind.ENCODE,
                owner_name(),
                {"encoder": encoder_settings(catalog)},
            )
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        follow(run, lease, self.stdout.write)
