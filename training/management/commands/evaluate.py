"""manage.py evaluate CATALOG [--json F]: the live pipeline beside the baselines."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ranking.bundle import BundleError
from ranking.errors import RankingFault
from training.console import find_catalog
from training.errors import TrainingFault
from training.evaluation import evaluate_catalog, table


class Command(BaseCommand):
    help = "Full-catalog ranking on the time split: baselines, the tower alone, the full pipeline."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("--json", type=Path, help="write the figures to this file too")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        if options["json"] and not options["json"].parent.is_dir():
            raise CommandError(f"There is no folder {options['json'].parent} to write to.")
        try:
            result = evaluate_catalog(catalog)
        except (TrainingFault, RankingFault, BundleError) as fault:
            raise CommandError(str(fault)) from fault
        live = catalog.live_bundle or "none: encoder and popularity"
        self.stdout.write(f"{catalog.name}: {result['users']:,} people; bundle {live}")
        if catalog.is_simulated:
            self.stdout.write("Its people are simulated: these figures are no evidence of quality.")
        for line in table(result):
            self.stdout.write(line)
        if options["json"]:
            options["json"].write_text(json.dumps(result, indent=1))
