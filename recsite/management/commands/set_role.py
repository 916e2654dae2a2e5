"""manage.py set_role USERNAME ROLE: what the dashboard's page People does."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.errors import CatalogError
from catalog.models import Role
from catalog.roles import NONE, set_role


class Command(BaseCommand):
    help = "Give somebody a role on the dashboard, or take it away."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="of somebody who has an account")
        parser.add_argument("role", choices=[*Role.values, NONE])

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = set_role(options["username"], options["role"])
        except CatalogError as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(f"{user.username}: {user.staff_role or NONE}")
