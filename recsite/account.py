"""① Who is asking: the member, the demo person somebody looks through, or this session's guest."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, UserCreationForm
from django.db.models import Q, QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseForbidden,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.middleware import HtmxDetails

from catalog import people, privacy
from catalog.models import Catalog, Follow, Interaction, SlateLog, User
from recsite import throttle

GUEST_ID = "guest_id"  # session key: the guest row of this session
LOOK_AS = "look_as"  # session key: the demo person that this session looks through


class SiteRequest(HttpRequest):
    """A request after the middleware: who asks, and whether htmx does."""

    person: User  # an unsaved guest (pk None) until the first write
    htmx: HtmxDetails


class PersonMiddleware:
    """Sets `request.person`; costs no query until somebody looks at it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Attach the person and go on."""
        request.person = SimpleLazyObject(lambda: find_person(request))  # type: ignore[attr-defined]
        return self.get_response(request)


def demo_people() -> QuerySet[User]:
    """The people that a demo visitor may look through: none outside a demo, and never staff."""
    if not settings.DEMO:
        return User.objects.none()
    return User.objects.filter(
        Q(external_id__startswith="household-") | Q(external_id__startswith="reader-"),
        is_staff=False,
        is_superuser=False,
    )


def find_person(request: HttpRequest) -> User:
    """The demo person looked through, else the member, else the session's guest."""
    if looked_through := request.session.get(LOOK_AS):
        demo_person = demo_people().filter(pk=looked_through).first()
        if demo_person is not None:
            return demo_person
    if request.user.is_authenticated:
        return request.user
    if guest_id := request.session.get(GUEST_ID):
        guest = User.objects.filter(pk=guest_id, is_guest=True).first()
        if guest is not None:
            return guest
    return User(is_guest=True)


def guest_for_write(request: HttpRequest) -> User:
    """Who a write belongs to: `request.person`, saved first if it is a guest without a row."""
    person: User = request.person  # type: ignore[attr-defined]
    if person.pk is None:
        person = people.ensure_guest()
        request.session[GUEST_ID] = person.pk
        request.person = person
    return person


def is_looking_through(request: HttpRequest) -> bool:
    """Whether this visitor wears a demo person's eyes, so that nothing here is theirs to erase."""
    return LOOK_AS in request.session and request.person.pk == request.session[LOOK_AS]  # type: ignore[attr-defined]


def person_context(request: HttpRequest) -> dict[str, Any]:
    """For templates: `person`, `looking_through` and `is_demo`."""
    if not hasattr(request, "person"):  # an error page from before the middleware
        return {"person": User(is_guest=True), "looking_through": False, "is_demo": False}
    return {
        "person": request.person,
        "looking_through": SimpleLazyObject(lambda: is_looking_through(request)),
        "is_demo": settings.DEMO,
    }


def next_url(request: HttpRequest, fallback: str = "home") -> str:
    """Where the form's or address's `next` leads, if that is on this site; else the fallback."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else reverse(fallback)


def _own_guest(request: HttpRequest) -> User | None:
    """The saved guest of this session, whoever it looks through."""
    guest_id: int = request.session.get(GUEST_ID, 0)
    return User.objects.filter(pk=guest_id, is_guest=True).first()


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """Log a member in; what they did as a guest in this session becomes theirs."""
    form = AuthenticationForm(request)
    status = 200
    if request.method == "POST":
        attempt = throttle.take(request.POST.get("username", ""), request.META["REMOTE_ADDR"])
        if attempt.wait_seconds:
            return _too_many(request, attempt.wait_seconds)
        form = AuthenticationForm(request, data=request.POST)
        if form.is_valid():
            attempt.release()
            _start_session(request, form.get_user())
            return redirect(next_url(request))
        status = 422
    context = {"form": form, "next": next_url(request)}
    return render(request, "account/login.html", context, status=status)


def _too_many(request: HttpRequest, wait_seconds: int) -> HttpResponse:
    """The login page, closed for a while, saying for how long."""
    context = {"form": AuthenticationForm(request), "wait_seconds": wait_seconds}
    response = render(request, "account/login.html", context, status=429)
    response["Retry-After"] = str(wait_seconds)
    return response


def _start_session(request: HttpRequest, member: User) -> None:
    """Log in, and hand this session's guest history over to the member."""
    guest = _own_guest(request)
    request.session.pop(GUEST_ID, None)
    request.session.pop(LOOK_AS, None)
    if guest is not None:
        people.merge(guest, member)
    login(request, member)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """Log out; the session starts anew."""
    logout(request)
    messages.success(request, _("You are logged out."))
    return redirect("home")


class SignUpForm(UserCreationForm[User]):
    """A name of letters, digits and @.+-_ (so none that starts with ~), and a password."""

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username",)


@never_cache
@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Make the session's guest a member, history and all; without one, a new member."""
    form = SignUpForm(request.POST or None, instance=_own_guest(request) or User())
    if request.method == "POST" and form.is_valid():
        member = form.save(commit=False)
        member.is_guest = False
        member.save()
        request.session.pop(GUEST_ID, None)
        request.session.pop(LOOK_AS, None)
        login(request, member)
        welcome = _("Welcome, %(name)s. Your history came along.")
        messages.success(request, welcome % {"name": member.username})
        return redirect(next_url(request))
    context = {"form": form, "next": next_url(request)}
    return render(request, "account/sign_up.html", context, status=422 if form.errors else 200)


@require_POST
def look_as(request: HttpRequest) -> HttpResponse:
    """Look through the demo person whose `external_id` was posted; then back to `next`."""
    person = get_object_or_404(demo_people(), external_id=request.POST.get("external_id", ""))
    request.session[LOOK_AS] = person.pk
    messages.info(request, _("You now see the demo as %(name)s.") % {"name": person.label})
    return redirect(next_url(request))


@require_POST
def stop_looking(request: HttpRequest) -> HttpResponse:
    """Be yourself again."""
    request.session.pop(LOOK_AS, None)
    return redirect(next_url(request))


@require_POST
def new_guest(request: HttpRequest) -> HttpResponse:
    """Start over as a guest without a history; a member stays logged in."""
    request.session.pop(LOOK_AS, None)
    request.session.pop(GUEST_ID, None)
    return redirect(next_url(request))


@never_cache
@require_GET
def account(request: SiteRequest) -> HttpResponse:
    """What this site stores about the person, to see, take away, or erase."""
    person = request.person
    stored = [_stored_in(catalog, person) for catalog in Catalog.objects.order_by("name")]
    return render(request, "account/account.html", {"stored": stored})


def _stored_in(catalog: Catalog, person: User) -> dict[str, object]:
    """Counts of what one catalog knows about a person, and their latest interactions."""
    if person.pk is None:
        return {"catalog": catalog, "interactions": 0, "slates": 0, "follows": (), "latest": ()}
    history = Interaction.objects.history_of(person.pk, catalog.pk)
    return {
        "catalog": catalog,
        "interactions": history.count(),
        "slates": SlateLog.objects.filter(user=person, catalog=catalog).count(),
        "follows": Follow.objects.filter(user=person, catalog=catalog).order_by("category"),
        "latest": history.with_items()[:10],
    }


@never_cache
@require_GET
def export(request: SiteRequest) -> HttpResponse:
    """Everything that is stored about the person, as a JSON file."""
    if is_looking_through(request):
        return HttpResponseForbidden(_("This is a demo person's data, not yours."))
    stored = privacy.export(request.person) if request.person.pk else {}
    disposition = {"Content-Disposition": 'attachment; filename="my-data.json"'}
    return JsonResponse(stored, json_dumps_params={"indent": 2}, headers=disposition)


@require_POST
def forget(request: SiteRequest) -> HttpResponse:
    """Erase the person's history everywhere; a guest's row goes as well."""
    if is_looking_through(request):
        return HttpResponseForbidden(_("This is a demo person's history, not yours to erase."))
    person = request.person
    if person.pk is not None:
        privacy.forget(person, None)
    if person.is_guest:
        User.objects.filter(pk=person.pk, is_guest=True).delete()
        request.session.pop(GUEST_ID, None)
    messages.success(request, _("Your history is erased. From now on you start afresh."))
    return redirect("account")


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Change a member's password; other sessions of theirs end."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(f"{reverse('login')}?next={reverse('change-password')}")
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, _("Your password is changed."))
        return redirect("account")
    context = {"form": form}
    return render(request, "account/password.html", context, status=422 if form.errors else 200)


urlpatterns = [
    path("", account, name="account"),
    path("login/", log_in, name="login"),
    path("logout/", log_out, name="logout"),
    path("sign-up/", sign_up, name="sign-up"),
    path("password/", change_password, name="change-password"),
    path("export/", export, name="export"),
    path("forget/", forget, name="forget"),
    path("look-as/", look_as, name="look-as"),
    path("stop-looking/", stop_looking, name="stop-looking"),
    path("new-guest/", new_guest, name="new-guest"),
]
