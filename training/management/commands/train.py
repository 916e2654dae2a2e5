"""manage.py train CATALOG: the same run as the dashboard's button, in the foreground."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ranking.bundle import BundleError
from training.console import add_run_arguments, carry_out, find_catalog, say_gate
from training.errors import TrainingFault
from training.gate import gate
from training.models import ModelVersion, TrainingRun
from training.registry import live_version, promote


class Command(BaseCommand):
    help = "Train a new model of a catalog and register it. Ctrl-C cancels the run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_run_arguments(
            parser, "epochs, rounds, network_epochs, evaluate_people, encoder and tuned"
        )
        parser.add_argument(
            "--promote", action="store_true", help="put the model live unless the gate is red"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        run = carry_out(catalog, TrainingRun.Kind.TRAIN, options, self.stdout.write)
        if options["promote"]:
            self._promote(run)

    def _promote(self, run: TrainingRun) -> None:
        version = ModelVersion.objects.filter(run=run).select_related("catalog").first()
        if version is None:
            raise CommandError(f"Run {run.pk} registered no model.")
        if version.is_live:
            return  # it was the first
        say_gate(gate(version, live_version(version.catalog)), self.stdout.write)
        try:
            promote(version, None, "Asked for with manage.py train --promote.")
        except (TrainingFault, BundleError) as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"live: {version.bundle_id}")
