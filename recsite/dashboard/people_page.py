"""People: who is staff, in which role. Admins alone see it and give roles."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods

from catalog import roles
from catalog.errors import CatalogError
from catalog.models import Role, User
from recsite.dashboard.access import MAY, needs, staff_user
from recsite.dashboard.sorting import Sorting

COLUMNS = {
    "name": gettext_noop("Name"),
    "role": gettext_noop("Role"),
    "seen": gettext_noop("Last log-in"),
}


class RoleForm(forms.Form):
    """Whose role, and which."""

    username = forms.CharField(max_length=150, strip=True)
    role = forms.ChoiceField(choices=[*Role.choices, (roles.NONE, roles.NONE)])


@needs(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The list and the form; sending it gives a role, or takes it away."""
    form = RoleForm(request.POST or None)
    fault = ""
    if request.method == "POST":
        if form.is_valid():
            try:
                person = roles.set_role(form.cleaned_data["username"], form.cleaned_data["role"])
            except CatalogError as refused:
                fault = str(refused)
            else:
                messages.success(request, _told(person))
                me = person.pk == staff_user(request).pk
                return redirect("dashboard:overview" if me else "dashboard:people")
        else:
            fault = _("Say whose role it is, and choose one from the list.")
    sorting = Sorting.of(request.GET.get("sort", ""), COLUMNS, "name")
    context = {
        "tab": "people",
        "staff": _sorted(roles.staff(), sorting),
        "heads": sorting.heads(COLUMNS, request.GET, texts=("name", "role"), moments=("seen",)),
        "roles": [(role, MAY[role]) for role in Role],
        "fault": fault,
        "typed": request.POST.get("username", ""),
        "chosen": request.POST.get("role", ""),
    }
    return render(request, "dashboard/people.html", context, status=422 if fault else 200)


def _sorted(people: list[User], sorting: Sorting) -> list[User]:
    """By one column; who never logged in comes last, whichever way."""
    if sorting.key == "seen":
        seen = [(person.last_login, person.pk, person) for person in people if person.last_login]
        never = [person for person in people if not person.last_login]
        return [row[2] for row in sorted(seen, reverse=sorting.descending)] + never
    roles_up = list(Role)

    def value(person: User) -> tuple[int, str]:
        role = person.staff_role
        place = roles_up.index(role) if sorting.key == "role" and role is not None else 0
        return place, person.username

    return sorted(people, key=value, reverse=sorting.descending)


def _told(person: User) -> str:
    """What somebody is now."""
    if person.staff_role is None:
        return _("%(name)s is without a role now.") % {"name": person.username}
    told = {"name": person.username, "role": _(person.staff_role.label).lower()}
    return _("%(name)s is %(role)s now.") % told
