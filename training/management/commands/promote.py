"""manage.py promote BUNDLE --reason: put a registered model live."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.errors import TrainingFault
from training.models import ModelVersion
from training.registry import gate, live_version, promote


class Command(BaseCommand):
    help = "Make a registered model the live one of its catalog, if its gate is green."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bundle", help="id of the bundle, as the dashboard shows it")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--force", action="store_true", help="even if the gate is red")

    def handle(self, *args: Any, **options: Any) -> None:
        version = (
            ModelVersion.objects.filter(bundle_id=options["bundle"])
            .select_related("catalog")
            .first()
        )
        if version is None:
            raise CommandError(f"There is no model {options['bundle']!r}.")
        for check in gate(version, live_version(version.catalog)):
            self.stdout.write(f"{'green' if check.ok else 'RED  '} {check.name}: {check.reason}")
        try:
            promote(version, None, options["reason"], force=options["force"])
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"live: {version.bundle_id}")
