"""manage.py distill CATALOG: a cross-encoder and an ensemble teach the models that are served."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training.console import add_run_arguments, carry_out, find_catalog
from training.models import TrainingRun


class Command(BaseCommand):
    help = (
        "Fine-tune a cross-encoder, let the personal model and the tower learn from it and from an "
        "ensemble, and measure all; the live model with a student that surely pays is registered. "
        "Ctrl-C cancels the run. --param split=leave-last-5 only measures, without a live model."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_run_arguments(
            parser, "design, requests, steps, candidates, history, alpha, temperature, split, …"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        carry_out(catalog, TrainingRun.Kind.DISTILL, options, self.stdout.write)
