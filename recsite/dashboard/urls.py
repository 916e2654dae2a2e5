"""Addresses of the dashboard."""

from django.urls import path

from recsite.dashboard import actions, model_pages, overview, run_list, run_page

urlpatterns = [
    path("", overview.page, name="overview"),
    *(
        path(f"catalogs/<slug:slug>/{kind}/", actions.start, {"kind": str(kind)}, name=str(kind))
        for kind in actions.FIELDS
    ),
    path("catalogs/<slug:slug>/refresh/", actions.refresh, name="refresh"),
    path("runs/", run_list.page, name="runs"),
    path("runs/<uuid:run_id>/", run_page.page, name="run"),
    path("runs/<uuid:run_id>/live/", run_page.live, name="run-live"),
    path("runs/<uuid:run_id>/cancel/", actions.cancel, name="cancel"),
    path("runs/<uuid:run_id>/retry/", actions.retry, name="retry"),
    path("models/", model_pages.catalogs, name="models"),
    path("models/<slug:slug>/", model_pages.page, name="catalog-models"),
    path("models/<slug:slug>/roll-back/", model_pages.roll_back_page, name="roll-back"),
    path("models/<slug:slug>/<str:bundle_id>/", model_pages.promote_page, name="promote"),
]
