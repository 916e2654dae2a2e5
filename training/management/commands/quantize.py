"""manage.py quantize CATALOG: encoders made smaller for a CPU, each measured."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training.console import add_run_arguments, carry_out, find_catalog
from training.models import TrainingRun


class Command(BaseCommand):
    help = (
        "Make an encoder smaller for a CPU (bf16, 8-bit integers, fewer layers), measure each, "
        "and register the fastest that loses next to nothing. Ctrl-C cancels the run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_run_arguments(parser, "encoder, split")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        carry_out(catalog, TrainingRun.Kind.QUANTIZE, options, self.stdout.write)
