"""One thing that a run can be told, and how what a form or --param says of it is read.

The table of all of them stands in training/sheets.py.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from catalog.models import Catalog
from training.errors import TrainingFault

Choices = tuple[tuple[str, str | Promise], ...]  # value, words: in English, or lazy


TOGETHER = "together"  # the key of a fault that no parameter has by itself


@dataclass(frozen=True)
class Parameter:
    """One thing that a run can be told; its words are in English, and translated where shown."""

    name: str
    label: str | Promise
    help: str = ""
    kind: type = int  # int, float, str or bool
    default: Any = None  # None: left to the run, and said by `usual`
    usual: str = ""
    usual_values: Mapping[str, Any] = field(default_factory=dict, hash=False)  # for its %-places
    low: float | None = None
    high: float | None = None
    choices: Choices = ()
    more_choices: Callable[[Catalog], Choices] | None = None  # of one catalog
    pattern: str = ""  # a value of this form is fine, too, though it is no choice
    is_seldom: bool = False  # folded away

    @property
    def placeholder(self) -> str:
        """What an empty field means, in the reader's language."""
        return _(self.usual) % self.usual_values

    def choices_in(self, catalog: Catalog) -> Choices:
        """Those of every catalog, then those of this one."""
        return self.choices + (self.more_choices(catalog) if self.more_choices else ())

    def read(self, value: Any, catalog: Catalog) -> Any:
        """The value of text from a form, or of what was parsed from --param.

        Raises
        ------
        ValueError
            It is none; says what it has to be, as the end of a sentence.
        """
        text = str(value).strip()
        if self.kind is bool:
            return _yes_or_no(text)
        if self.kind is str:
            return self._chosen(text, catalog)
        return self._number(text)

    def _number(self, text: str) -> float:
        number = _as_number(text)
        if number is None:
            raise ValueError(_("a number, not %(text)r") % {"text": text})
        if self.kind is int and number != int(number):
            raise ValueError(_("a whole number, not %(text)s") % {"text": text})
        if self.low is not None and number < self.low:
            told = {"least": f"{self.low:,g}", "text": text}
            raise ValueError(_("at least %(least)s, not %(text)s") % told)
        if self.high is not None and number > self.high:
            told = {"most": f"{self.high:,g}", "text": text}
            raise ValueError(_("at most %(most)s, not %(text)s") % told)
        return int(number) if self.kind is int else number

    def _chosen(self, text: str, catalog: Catalog) -> str:
        values = list(dict(self.choices_in(catalog)))
        if text in values or (self.pattern and re.fullmatch(self.pattern, text)):
            return text
        if self.more_choices and text and len([v for v in values if v.startswith(text)]) == 1:
            return text  # how a digest begins
        names = ", ".join(value[:12] or _("(empty)") for value in values)
        raise ValueError(_("one of %(names)s") % {"names": names})


@dataclass(frozen=True)
class Sheet:
    """A kind of run as its form shows it."""

    what: str  # it does, one sentence
    command: str  # the same from a terminal, for {catalog}
    parameters: tuple[Parameter, ...] = ()
    option: str = "--param {name}={value}"  # how the command is told a parameter
    always: Callable[[Catalog], dict[str, Any]] = lambda catalog: {}  # told to every such run
    # raises TrainingFault where values clash
    together: Callable[[Mapping[str, Any]], object] | None = None

    def parameter(self, name: str) -> Parameter | None:
        """The one of this name."""
        return next((one for one in self.parameters if one.name == name), None)

    def line(self, catalog: Catalog, values: Mapping[str, Any]) -> str:
        """What to type instead of filling in the form."""
        parts = [self.command.format(catalog=catalog.slug)]
        for name, value in values.items():
            if self.parameter(name):
                bare = value is True and not self.option.startswith("--param")
                said = self.option.format(name=name, value=words(value))
                parts.append(f"--{name}" if bare else said)
        return " ".join(parts)


@dataclass(frozen=True)
class Checked:
    """What was asked for, read."""

    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)  # parameter → what is wrong, a sentence


def checked(
    sheet: Sheet, catalog: Catalog, asked: Mapping[str, Any], *, keep_usual: bool = False
) -> Checked:
    """Read what a form or a command asks a run for; what is left empty is left to the run.

    So is what is usual, which a form shows without anybody having said it; with `keep_usual` it
    counts as said, and stands against what a search found.
    """
    found = Checked()
    for name, value in asked.items():
        one = sheet.parameter(name)
        if one is None:
            known = ", ".join(parameter.name for parameter in sheet.parameters)
            text = _("There is no parameter %(name)s; there are %(known)s.")
            found.faults[name] = text % {"name": name, "known": known or _("none")}
            continue
        if value is None or str(value).strip() == "":
            continue
        try:
            read = one.read(value, catalog)
        except ValueError as fault:
            found.faults[name] = fault_of(one, fault)
            continue
        if keep_usual or read != one.default:
            found.values[name] = read
    if sheet.together and not found.faults:
        try:
            sheet.together(found.values)
        except TrainingFault as fault:
            found.faults[TOGETHER] = str(fault)
    return found


def fault_of(parameter: Parameter, fault: ValueError) -> str:
    """What `Parameter.read` has refused, as a sentence."""
    return _("%(label)s: %(fault)s.") % {"label": _(str(parameter.label)), "fault": fault}


def words(value: Any) -> str:
    """A value as a command is told it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _yes_or_no(text: str) -> bool:
    if text.lower() not in {"yes", "no", "true", "false"}:
        raise ValueError(_("yes or no, not %(text)r") % {"text": text})
    return text.lower() in {"yes", "true"}


def _as_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
