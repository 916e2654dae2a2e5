"""manage.py backtest CATALOG [--months N] [--people N] [--json F]: the ranker, month by month."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ranking.errors import RankingFault
from training.backtest import Backtest, backtest, mean_leads
from training.console import find_catalog
from training.errors import TrainingFault
from training.report import table


class Command(BaseCommand):
    help = "A ranker grown before each of the months ahead of the test, measured in that month."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("--months", type=int, default=Backtest.months, choices=range(1, 13))
        parser.add_argument("--people", type=int, default=Backtest.people, help="measured a month")
        parser.add_argument("--json", type=Path, help="write the figures to this file too")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        if options["json"] and not options["json"].parent.is_dir():
            raise CommandError(f"There is no folder {options['json'].parent} to write to.")
        plan = Backtest(months=options["months"], people=options["people"])
        try:
            results = backtest(catalog, plan)
        except (TrainingFault, RankingFault) as fault:
            raise CommandError(str(fault)) from fault
        if catalog.is_simulated:
            self.stdout.write("Its people are simulated: these figures are no evidence of quality.")
        for result in results:
            since = datetime.fromtimestamp(result["test_start"], UTC)
            self.stdout.write(f"From {since:%-d %b %Y}, {result['users']:,} people")
            for line in table(result):
                self.stdout.write(line)
            self.stdout.write("")
        self.stdout.write(f"Mean of {len(results)} months:")
        for name, lead in mean_leads(results).items():
            self.stdout.write(f"full pipeline − {name}: ndcg@10 {lead:+.4f}")
        if options["json"]:
            options["json"].write_text(json.dumps(results, indent=1))
