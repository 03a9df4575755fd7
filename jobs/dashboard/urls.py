"""The addresses of the dashboard. Lists keep what they show in their query."""

from django.urls import path

from jobs.dashboard import alerts, audit, errors, job, joblist, live, new, overview, queues, schedules, workers

app_name = "dashboard"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("jobs/", joblist.jobs, name="jobs"),
    path("jobs/live", live.live, name="live"),
    path("jobs/new", new.new, name="new"),
    path("jobs/<uuid:job_id>", job.job, name="job"),
    path("jobs/<uuid:job_id>/retry", overview.retry, name="retry"),
    path("jobs/queues", queues.queues, name="queues"),
    path("jobs/queues/<str:name>", queues.queue, name="queue"),
    path("jobs/queues/<str:name>/pause", queues.pause, name="pause"),
    path("jobs/queues/<str:name>/resume", queues.resume, name="resume"),
    path("jobs/queues/<str:name>/limit", queues.limit, name="limit"),
    path("jobs/queues/<str:name>/clean", queues.clean, name="clean"),
    path("jobs/workers", workers.workers, name="workers"),
    path("jobs/workers/<path:name>/drain", workers.drain, name="drain"),
    path("jobs/schedules", schedules.schedules, name="schedules"),
    path("jobs/schedules/<path:name>", schedules.schedule, name="schedule"),
    path("jobs/errors", errors.errors, name="errors"),
    path("jobs/errors/<str:fingerprint>", errors.error, name="error"),
    path("jobs/errors/<str:fingerprint>/retry", errors.retry_all, name="retry-all"),
    path("jobs/errors/<str:fingerprint>/resolve", errors.resolve, name="resolve"),
    path("jobs/errors/<str:fingerprint>/reopen", errors.reopen, name="reopen"),
    path("jobs/audit", audit.audit, name="audit"),
    path("jobs/alerts", alerts.alerts, name="alerts"),
    path("jobs/alerts/<int:rule_id>/silence", alerts.silence_rule, name="silence-rule"),
    path("jobs/alerts/<int:rule_id>/unsilence", alerts.unsilence_rule, name="unsilence-rule"),
    path("jobs/alerts/<int:rule_id>/try", alerts.try_rule, name="try-rule"),
]
