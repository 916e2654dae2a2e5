"""What a fragment that asks for itself again and again is answered with, beside 200."""

STOP_POLLING = 286  # htmx swaps the answer in and asks no more
UNCHANGED = 204  # htmx leaves the page as it is
