"""manage.py note_run RUN: tags and a note on a run, as on its page."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_run
from training.errors import TrainingFault
from training.runs import annotate


class Command(BaseCommand):
    help = "Add tags to a run, take some away, or write its note."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")
        parser.add_argument("--tag", action="append", default=[], help="to add; repeatable")
        parser.add_argument("--untag", action="append", default=[], help="to take away; repeatable")
        parser.add_argument("--note", help="what stands on its page instead of the present note")

    def handle(self, *args: Any, **options: Any) -> None:
        run = find_run(options["run"])
        tags = {tag.strip().lower() for tag in [*run.tags, *options["tag"]]}
        tags -= {tag.strip().lower() for tag in options["untag"]}
        try:
            annotate(run, tags, run.note if options["note"] is None else options["note"])
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"tags: {', '.join(run.tags) or 'none'}")
        self.stdout.write(f"note: {run.note or 'none'}")
