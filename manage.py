#!/usr/bin/env python3
"""Django's command line."""

import os
import sys


def main() -> int:
    """Run one management command; a fault that the user can mend is one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
    from recsite.faults import one_line_faults

    with one_line_faults():
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
