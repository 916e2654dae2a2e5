"""manage.py tune CATALOG: search for better settings, or help a search that goes on."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ranking.errors import RankingFault
from training.console import add_run_arguments, carry_out, find_catalog, find_run
from training.errors import RunCancelled, TrainingFault
from training.models import TrainingRun
from training.search_space import SPACES
from training.tune import help_run


class Command(BaseCommand):
    help = (
        "Search for better settings of a catalog's models by trials on the validation fold: "
        f"--param what={', '.join(SPACES)}. Ctrl-C cancels the run. What was found is used by "
        "manage.py train CATALOG --param tuned=latest."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_run_arguments(
            parser, "what, only, trials, minutes, workers, split, encoder, epochs, rounds and steps"
        )
        parser.add_argument(
            "--join", metavar="RUN", help="make trials of this run too, until its budget is used up"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        if not options["join"]:
            carry_out(catalog, TrainingRun.Kind.TUNE, options, self.stdout.write)
            return
        run = find_run(options["join"])
        if run.catalog != catalog or options["param"]:
            raise CommandError("Say the catalog of the run that is joined, and no --param.")
        try:
            made = help_run(run, self.stdout.write)
        except (TrainingFault, RankingFault, RunCancelled) as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"The search has made its {made} trials.")
