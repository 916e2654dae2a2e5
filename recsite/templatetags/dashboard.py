"""How the dashboard writes durations, differences and bundle ids, in the reader's language."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from training.cost import roughly
from training.gate import Check, Figure
from training.splits import LEAVE_LAST
from training.tuned import in_words

register = template.Library()
register.filter("settings", in_words)
register.filter("roughly", roughly)


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds in words: 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return _("%(seconds)d s") % {"seconds": whole}
    if whole < 3600:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": whole // 60, "seconds": whole % 60}
    minutes = whole % 3600 // 60
    return _("%(hours)d h %(minutes)d min") % {"hours": whole // 3600, "minutes": minutes}


@register.filter
def ago(moment: datetime) -> str:
    """How long ago: just now, 3 minutes ago."""
    if timezone.now() - moment < timedelta(minutes=1):
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(moment)}


@register.filter
def percent(fraction: float | None) -> str:
    """A fraction as a percentage."""
    if fraction is None:
        return "–"
    return _("%(number)s %%") % {"number": f"{100 * fraction:.1f}"}


@register.filter
def has_grey(checks: list[Check]) -> bool:
    """Whether a check of the gate was not measured."""
    return any(check.ok is None for check in checks)


@register.filter
def figure_value(figure: Figure | None) -> str:
    """A metric's value."""
    return "–" if figure is None else f"{figure.value:.4f}"


@register.filter
def figure_interval(figure: Figure | None) -> str:
    """A metric's 95 % interval; '' where there is none."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.4f} – {figure.high:.4f}"


@register.filter
def signed(difference: float | None) -> str:
    """A difference with its sign, minus as a minus."""
    if difference is None:
        return ""
    return f"{difference:+.4f}".replace("-", "−")


@register.filter
def signed_percent(difference: float) -> str:
    """A difference of two fractions with its sign, in percent."""
    number = f"{100 * difference:+.1f}".replace("-", "−")
    return _("%(number)s %%") % {"number": number}


@register.filter
def plain(value: Any) -> str:
    """A stored parameter in words: lists and groups without brackets, nothing as a dash."""
    if isinstance(value, dict):
        return ", ".join(
            _("%(name)s: %(value)s") % {"name": _(name.replace("_", " ")), "value": plain(inner)}
            for name, inner in value.items()
        )
    if isinstance(value, list):
        return ", ".join(plain(inner) for inner in value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return "–" if value in (None, "") else str(value)


@register.filter
def bundle_time(bundle_id: str) -> str:
    """The part of a bundle id that tells bundles of one catalog apart."""
    return "-".join(bundle_id.rsplit("-", 2)[1:])


@register.filter
def words(column: str) -> str:
    """The name of a column for people: live_bundle → live bundle, catalog_id → catalog."""
    column, comma, key = column.partition(", ")  # of a group, one entry of it
    own = _(column.removesuffix("_id").replace("_", " "))
    return _("%(group)s, %(name)s") % {"group": own, "name": words(key)} if comma else own


@register.filter
def split_words(name: str) -> str:
    """A split (training/splits.py) for people: by time, everybody's last 5 picks."""
    number = "1" if name == f"{LEAVE_LAST}out" else name.removeprefix(LEAVE_LAST)
    if not number.isdecimal():
        return _("by time") if name == "time" else name
    told = {"number": number}
    return (
        ngettext("everybody’s last pick", "everybody’s last %(number)s picks", int(number)) % told
    )


@register.filter
def translated(text: str) -> str:
    """A text that is marked where it is written, such as a label, in the reader's language."""
    return _(text) if text else ""
