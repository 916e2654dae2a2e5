"""manage.py measure_dials CATALOG: what each setting of each dial costs, as on the dashboard."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training.console import find_catalog, run_here
from training.dial_costs import WHAT
from training.measure_dials import measure_dials
from training.models import TrainingRun


class Command(BaseCommand):
    help = "nDCG@10 and coverage of the live model at several settings of each dial."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        kind = TrainingRun.Kind.EVALUATE
        with run_here(catalog, kind, {"what": WHAT}, options["seed"], self.stdout.write) as handle:
            measure_dials(handle)
