"""manage.py drift CATALOG: how far its traffic is from what the live model learned."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.forms import model_to_dict

from training import drift
from training.console import find_catalog
from training.errors import TrainingFault
from training.models import DriftReport

FIELDS = ("day", "bundle_id", "level", "score", "measures")


class Command(BaseCommand):
    help = (
        "Measure today's drift of inputs, scores and quality, print it, and store it for the "
        "dashboard. An alert is sent by a worker."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("--days", type=int, default=1, help="the last so many, today included")
        parser.add_argument(
            "--json", type=Path, metavar="FILE", help="write the figures to this file, too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        try:
            reports = drift.measure_days(catalog, options["days"])
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        for report in reports:
            self._print(report)
        if options["json"]:
            told = [model_to_dict(report, FIELDS) for report in reports]
            try:
                options["json"].write_text(json.dumps(told, indent=1, cls=DjangoJSONEncoder))
            except OSError as fault:
                raise CommandError(f"{options['json']} cannot be written: {fault}.") from fault

    def _print(self, report: DriftReport) -> None:
        label = report.get_level_display().lower()
        self.stdout.write(f"{report.day} {label}, score {report.score:.3f}, {report.bundle_id}")
        for name, one in report.measures.items():
            value = "     –" if one["value"] is None else f"{one['value']:6.3f}"
            tail = one["note"] or f"{one['level']}; of {one['reference']:,} and {one['new']:,}"
            self.stdout.write(f"  {name:<10} {value}  {tail}")
