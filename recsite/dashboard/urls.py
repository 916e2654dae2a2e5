"""Addresses of the dashboard."""

from django.urls import path

from recsite.dashboard import (
    actions,
    audit_page,
    drift_page,
    model_page,
    model_pages,
    overview,
    people_page,
    playground,
    rollout_actions,
    run_compare,
    run_form,
    run_list,
    run_page,
    schedule_pages,
    service_page,
)

urlpatterns = [
    path("", overview.page, name="overview"),
    *(
        path(f"catalogs/<slug:slug>/{kind}/", actions.start, {"kind": str(kind)}, name=str(kind))
        for kind in actions.STARTED
    ),
    path("catalogs/<slug:slug>/refresh/", actions.refresh, name="refresh"),
    path("catalogs/<slug:slug>/latency/", overview.latency, name="latency"),
    path("runs/", run_list.page, name="runs"),
    path("runs.csv", run_list.download, name="runs-csv"),
    path("runs/new/", run_form.page, name="run-new"),
    path("runs/new/cost/", run_form.cost, name="run-cost"),
    path("runs/compare/", run_compare.page, name="run-compare"),
    path("runs/<uuid:run_id>/", run_page.page, name="run"),
    path("runs/<uuid:run_id>/live/", run_page.live, name="run-live"),
    path("runs/<uuid:run_id>/metrics.csv", run_page.metrics_file, name="run-metrics"),
    path("runs/<uuid:run_id>/log.csv", run_page.log_file, name="run-log"),
    path("runs/<uuid:run_id>/notes/", run_page.notes, name="run-notes"),
    path("runs/<uuid:run_id>/pause/", actions.pause, name="pause"),
    path("runs/<uuid:run_id>/resume/", actions.resume, name="resume"),
    path("runs/<uuid:run_id>/cancel/", actions.cancel, name="cancel"),
    path("runs/<uuid:run_id>/retry/", actions.retry, name="retry"),
    path("models/", model_pages.catalogs, name="models"),
    path("models/<slug:slug>/", model_pages.page, name="catalog-models"),
    path("models/<slug:slug>/models.csv", model_pages.as_csv, name="models-csv"),
    path("models/<slug:slug>/gate/", rollout_actions.limits, name="gate-limits"),
    path("models/<slug:slug>/playground/", playground.page, name="playground"),
    path("models/<slug:slug>/roll-back/", model_pages.roll_back_page, name="roll-back"),
    path("models/<slug:slug>/stop/", rollout_actions.stop, name="rollout-stop"),
    path("models/<slug:slug>/<str:bundle_id>/", model_page.page, name="model"),
    path(
        "models/<slug:slug>/<str:bundle_id>/metrics.csv", model_page.metrics_csv, name="model-csv"
    ),
    path("models/<slug:slug>/<str:bundle_id>/promote/", model_pages.promote_page, name="promote"),
    path("models/<slug:slug>/<str:bundle_id>/gate/", model_page.gate_part, name="model-gate"),
    path("models/<slug:slug>/<str:bundle_id>/rehearsal/", model_page.rehearsal, name="rehearsal"),
    path(
        "models/<slug:slug>/<str:bundle_id>/challenge/", rollout_actions.challenge, name="challenge"
    ),
    path("models/<slug:slug>/<str:bundle_id>/share/", rollout_actions.step, name="rollout-step"),
    path("models/<slug:slug>/<str:bundle_id>/delete/", model_page.delete_page, name="delete-model"),
    path("schedules/", schedule_pages.page, name="schedules"),
    path("schedules/add/", schedule_pages.add, name="schedule-add"),
    path("schedules/<int:schedule_id>/", schedule_pages.edit, name="schedule"),
    path("schedules/<int:schedule_id>/pause/", schedule_pages.pause, name="schedule-pause"),
    path("schedules/<int:schedule_id>/resume/", schedule_pages.resume, name="schedule-resume"),
    path("schedules/<int:schedule_id>/delete/", schedule_pages.delete, name="schedule-delete"),
    path("catalogs/<slug:slug>/auto-promote/", schedule_pages.auto_promote, name="auto-promote"),
    path("drift/", drift_page.catalogs, name="drifts"),
    path("drift/<slug:slug>/", drift_page.page, name="drift"),
    path("drift/<slug:slug>/measure/", drift_page.measure, name="drift-measure"),
    path("drift/<slug:slug>/now/", drift_page.now, name="drift-now"),
    path("services/", service_page.page, name="services"),
    path("services/now/", service_page.now, name="services-now"),
    path("audit/", audit_page.page, name="audit"),
    path("audit.csv", audit_page.download, name="audit-csv"),
    path("people/", people_page.page, name="people"),
]
