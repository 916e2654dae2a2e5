"""manage.py train CATALOG: the same run as the dashboard's button, in the foreground."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from ranking.bundle import BundleError
from training.console import find_catalog, follow
from training.errors import TrainingFault
from training.models import ModelVersion, TrainingRun
from training.registry import promote
from training.runs import create_claimed
from training.watcher import owner_name


class Command(BaseCommand):
    help = "Train a new model of a catalog and register it. Ctrl-C cancels the run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="epochs, rounds, network_epochs or evaluate_people, such as epochs=4; repeatable",
        )
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--promote", action="store_true", help="put the model live if the gate is green"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        parameters = dict(_parameter(text) for text in options["param"])
        run = self._train(catalog, parameters, options["seed"])
        if options["promote"]:
            self._promote(run)

    def _train(self, catalog: Catalog, parameters: dict[str, Any], seed: int) -> TrainingRun:
        try:
            run, lease = create_claimed(
                catalog, TrainingRun.Kind.TRAIN, owner_name(), parameters, seed
            )
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        return follow(run, lease, self.stdout.write)

    def _promote(self, run: TrainingRun) -> None:
        version = ModelVersion.objects.filter(run=run).select_related("catalog").first()
        if version is None:
            raise CommandError(f"Run {run.pk} registered no model.")
        if version.is_live:
            return  # it was the first
        try:
            promote(version, None, "Asked for with manage.py train --promote.")
        except (TrainingFault, BundleError) as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"live: {version.bundle_id}")


def _parameter(text: str) -> tuple[str, Any]:
    """NAME=VALUE; the value is read as JSON where it is JSON, else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"--param {text!r} is not NAME=VALUE.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
