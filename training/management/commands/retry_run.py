"""manage.py retry_run RUN [--param NAME=VALUE]: queue a run again as a new one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.console import find_run, parse_parameter
from training.errors import TrainingFault
from training.models import TrainingRun
from training.parameters import checked
from training.runs import retry
from training.sheets import SHEETS


class Command(BaseCommand):
    help = "Queue a new run with the kind, parameters and seed of one that is over or paused."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")
        parser.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="another value for a parameter, such as epochs=5; an empty one returns to what is "
            "usual; repeatable",
        )
        parser.add_argument("--seed", type=int, help="another seed")

    def handle(self, *args: Any, **options: Any) -> None:
        run = find_run(options["run"])
        changes = dict(parse_parameter(text) for text in options["param"])
        try:
            again = retry(run, None, self._changed(run, changes), options["seed"])
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"queued run {again.pk}")

    def _changed(self, run: TrainingRun, changes: dict[str, Any]) -> dict[str, Any]:
        """The run's parameters with these changes."""
        if changes and run.kind not in SHEETS:
            raise CommandError(f"A {run.kind} run is repeated as it was, without --param.")
        if not changes:
            return dict(run.parameters)
        found = checked(SHEETS[run.kind], run.catalog, changes, keep_usual=True)
        if found.faults:
            raise CommandError(" ".join(found.faults.values()))
        kept = {name: value for name, value in run.parameters.items() if name not in changes}
        return kept | found.values
