"""manage.py pretrain CATALOG: train the encoder further on the catalog's own text."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training.console import add_run_arguments, carry_out, find_catalog
from training.models import TrainingRun


class Command(BaseCommand):
    help = (
        "Train the encoder further on the catalog's own text (masked language model, and views of "
        "one item against each other). Ctrl-C cancels the run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_run_arguments(parser, "steps, learning_rate, batch, masked, contrastive, encoder, …")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        carry_out(catalog, TrainingRun.Kind.PRETRAIN, options, self.stdout.write)
