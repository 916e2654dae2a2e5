"""manage.py pause_run RUN: ask a run to stop at its next check and to keep its checkpoint."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_run
from training.runs import pause


class Command(BaseCommand):
    help = "Ask a run to stop at its next check; resume_run has it go on from its checkpoint."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")

    def handle(self, *args: Any, **options: Any) -> None:
        run = find_run(options["run"])
        if not pause(run, "manage.py pause_run"):
            raise CommandError(f"Run {run.pk} cannot be paused: it is {run.standing}.")
        self.stdout.write(f"asked run {run.pk} to pause")
