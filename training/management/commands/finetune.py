"""manage.py finetune CATALOG: train the encoder on what people pick next."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training.console import add_run_arguments, carry_out, find_catalog
from training.models import TrainingRun


class Command(BaseCommand):
    help = (
        "Train the encoder on what people pick next: --param way=full, lora or projection. Ctrl-C "
        "cancels the run. A model is trained on its vectors with manage.py train CATALOG --param "
        "encoder=DIGEST."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_run_arguments(
            parser, "way, steps, learning_rate, temperature, encoder, split, tuned, …"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        carry_out(catalog, TrainingRun.Kind.FINETUNE, options, self.stdout.write)
