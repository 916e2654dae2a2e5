"""manage.py retry_run RUN: queue a run again as a new one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_run
from training.errors import TrainingFault
from training.runs import retry


class Command(BaseCommand):
    help = "Queue a new run with the kind, parameters and seed of one that is over."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            again = retry(find_run(options["run"]))
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"queued run {again.pk}")
