"""manage.py execute_run RUN TOKEN: the process of one run. Started by training/watcher.py."""

import importlib
import os
import sys
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training.execute import Kinds, execute
from training.leases import Lease

NICENESS = 5  # pages go before training on a machine that does both


class Command(BaseCommand):
    help = "Carry out a run that the caller has claimed. Not for people: use train."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=uuid.UUID)
        parser.add_argument("token", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        os.nice(NICENESS)
        sys.exit(execute(Lease(options["run"], options["token"]), _load_kinds))


def _load_kinds() -> Kinds:
    """Import torch and all that only now, with the heart beating."""
    kinds: Kinds = importlib.import_module("training.kinds").KINDS
    return kinds
