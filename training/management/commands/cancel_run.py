"""manage.py cancel_run RUN: ask for the end of a run."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_run
from training.runs import cancel


class Command(BaseCommand):
    help = "Ask for the end of a run; a running one ends within seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")

    def handle(self, *args: Any, **options: Any) -> None:
        run = find_run(options["run"])
        if not cancel(run, "manage.py cancel_run"):
            raise CommandError(f"Run {run.pk} is over already: {run.state}.")
        self.stdout.write(f"asked run {run.pk} to end")
