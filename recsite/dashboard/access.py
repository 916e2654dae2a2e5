"""Who may do what on the dashboard, a role a route; and one at a time changes a catalog.

A route says what it needs: `@needs(Role.VIEWER)`, `@needs(Role.OPERATOR)`, or, where looking takes
less than sending the form, `@needs(Role.VIEWER, to_send=Role.OPERATOR)`. Inside a view,
`require(request, Role.ADMIN)` asks for more. Whoever lacks the role gets a page that says which one
it takes and who can give it. What a form changes is written to the audit log as its sender's doing.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_noop

from catalog import roles
from catalog.actor import acting_as
from catalog.models import Catalog, Role, User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

READS = {"GET", "HEAD", "OPTIONS"}
MAY: dict[Role, str] = {  # what each role is for, in words
    Role.VIEWER: gettext_noop("see everything and change nothing"),
    Role.OPERATOR: gettext_noop(
        "start, cancel and retry runs, import, promote where the gate is not red, and roll back"
    ),
    Role.ADMIN: gettext_noop(
        "force a promotion, delete, change rules, weights and schedules, and give roles, beside all"
        " that an operator may"
    ),
}


class RoleNeeded(PermissionDenied):
    """Somebody lacks the role that something takes."""

    def __init__(self, role: Role) -> None:
        super().__init__(f"This needs the role {role.label.lower()}.")
        self.role = role


def needs(role: Role, to_send: Role | None = None) -> Callable[[View[P]], View[P]]:
    """Guard a view: strangers are asked to log in, who lacks the role gets 403 and the reason.

    Parameters
    ----------
    role
        What it takes to see the page, and to send its form unless `to_send` says otherwise.
    to_send
        What it takes to send its form.
    """

    def guard(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_login(request)
            reads = request.method in READS
            try:
                require(request, role if reads else to_send or role)
                if reads:
                    answer = view(request, *args, **kwargs)
                else:
                    with acting_as(request.user.username):
                        answer = view(request, *args, **kwargs)
            except RoleNeeded as lack:
                answer = _refused(request, lack.role)
            add_never_cache_headers(answer)
            return answer

        guarded.needs = (role, to_send or role)  # type: ignore[attr-defined]  # for the test of routes
        return guarded

    return guard


def require(request: HttpRequest, role: Role) -> None:
    """Go on only with this role.

    Raises
    ------
    RoleNeeded
        `needs` makes a page of it.
    """
    if not (isinstance(request.user, User) and request.user.has_role(role)):
        raise RoleNeeded(role)


def staff_user(request: HttpRequest) -> User:
    """The member of staff who asks; `needs` has made sure that there is one."""
    assert isinstance(request.user, User)
    return request.user


def locked_catalog(slug: str) -> Catalog:
    """The catalog, locked to the end of the transaction: a button that is pressed twice acts once.

    Errors: Http404.
    """
    return get_object_or_404(Catalog.objects.select_for_update(no_key=True), slug=slug)


def _to_login(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request"):  # a fragment: send the whole page to the login
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        login = redirect_to_login(page.path or reverse("dashboard:overview"))
        return HttpResponse(status=401, headers={"HX-Redirect": login.url})
    return redirect_to_login(request.get_full_path())


def _refused(request: HttpRequest, role: Role) -> HttpResponse:
    """Which role it takes and, to staff, who can give it."""
    own = staff_user(request).staff_role
    context = {
        "role": role,
        "may": MAY[role],
        "own": own,
        "admins": roles.admin_names() if own else [],
    }
    return render(request, "dashboard/forbidden.html", context, status=403)
