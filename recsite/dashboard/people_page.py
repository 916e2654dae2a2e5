"""People: who is staff, in which role. Admins alone see it and give roles."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from catalog import roles
from catalog.errors import CatalogError
from catalog.models import Role, User
from recsite.dashboard.access import MAY, needs, staff_user


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
    context = {
        "tab": "people",
        "staff": roles.staff(),
        "roles": [(role, MAY[role]) for role in Role],
        "fault": fault,
        "typed": request.POST.get("username", ""),
        "chosen": request.POST.get("role", ""),
    }
    return render(request, "dashboard/people.html", context, status=422 if fault else 200)


def _told(person: User) -> str:
    """What somebody is now."""
    if person.staff_role is None:
        return _("%(name)s is without a role now.") % {"name": person.username}
    told = {"name": person.username, "role": _(person.staff_role.label).lower()}
    return _("%(name)s is %(role)s now.") % told
