"""What this process is called in PostgreSQL: in its list of sessions, and in the audit log."""

from collections.abc import Sequence
from pathlib import Path

LONGEST = 63  # characters that PostgreSQL keeps of an application_name
KNOWN_PARTS = ("worker", "beat")  # of Celery


def process_name(arguments: Sequence[str]) -> str:
    """A name from `sys.argv`: manage.py promote, celery worker, web."""
    path = Path(arguments[0] if arguments else "")
    program = path.parent.name if path.name == "__main__.py" else path.name
    words = arguments[1:]
    if program == "granian":
        return "web"
    if program == "manage.py" and words:
        return f"{program} {words[0]}"[:LONGEST]
    if program == "celery":
        part = next((word for word in words if word in KNOWN_PARTS), "")
        return f"{program} {part}".strip()
    return program[:LONGEST] or "python"
