"""manage.py resume_run RUN: have a paused run go on from its checkpoint."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_run
from training.runs import resume


class Command(BaseCommand):
    help = "Put a paused run back into the queue; a worker goes on from its checkpoint."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")

    def handle(self, *args: Any, **options: Any) -> None:
        run = find_run(options["run"])
        if not resume(run, "manage.py resume_run"):
            raise CommandError(f"Run {run.pk} is not paused: it is {run.standing}.")
        self.stdout.write(f"run {run.pk} is queued again")
