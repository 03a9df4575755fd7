"""Alerts: the rules with what they tell of now, and the last alerts; silencing and trying a rule.

Rules are made and changed in the Django admin.
"""

from datetime import timedelta

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from jobs.alerts import channels, shown, silence, try_channels, unsilence, words
from jobs.dashboard.access import action, actor, back, page, show
from jobs.models import Alert, AlertRule, Notice

SHOWN = 100  # ended alerts
SILENCES = {"1h": timedelta(hours=1), "8h": timedelta(hours=8), "1d": timedelta(days=1), "7d": timedelta(days=7)}


@page
def alerts(request: HttpRequest) -> HttpResponse:
    open_alerts = Prefetch("alerts", Alert.objects.filter(resolved_at=None).order_by("pk"), to_attr="firing")
    rules = [
        {
            "rule": rule,
            "condition": words(rule),
            "state": state(rule),
            "channels": [shown(channel) for channel in channels(rule)],
        }
        for rule in AlertRule.objects.prefetch_related(open_alerts)
    ]
    ended = Alert.objects.exclude(resolved_at=None).select_related("rule").order_by("-resolved_at")[:SHOWN]
    unsent = Notice.objects.exclude(error="").select_related("alert__rule")[:20]
    undelivered = [{"notice": notice, "channel": shown(notice.channel)} for notice in unsent]
    return show(
        request, "jobs/alerts.html", {"rules": rules, "ended": ended, "undelivered": undelivered, "silences": SILENCES}
    )


def state(rule: AlertRule) -> str:
    """In a word."""
    if not rule.enabled:
        return "off"
    if rule.silenced_until and rule.silenced_until > timezone.now():
        return "silenced"
    return "firing" if rule.firing else "ok"  # type: ignore[attr-defined]  # prefetched


@action("jobs.change_alertrule")
def silence_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    rule = get_object_or_404(AlertRule, pk=rule_id)
    span = SILENCES.get(request.POST.get("for", ""))
    if span is None:
        messages.error(request, f"Silence for one of {', '.join(SILENCES)}.")
    else:
        silence(rule, timezone.now() + span, actor=actor(request))
        messages.success(request, f"Nothing is told of {rule} for now.")
    return back(request, "dashboard:alerts")


@action("jobs.change_alertrule")
def unsilence_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    rule = get_object_or_404(AlertRule, pk=rule_id)
    unsilence(rule, actor=actor(request))
    messages.success(request, f"{rule} is told of again.")
    return back(request, "dashboard:alerts")


@action("jobs.change_alertrule")
def try_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Send a message through each channel, and say how it went."""
    rule = get_object_or_404(AlertRule, pk=rule_id)
    answers = try_channels(rule, actor=actor(request))
    if not answers:
        messages.warning(request, f"{rule} has nobody to tell: give it an address, or set ALERT_EMAILS.")
    for channel, problem in answers.items():
        if problem:
            messages.error(request, f"{shown(channel)}: {problem}")
        else:
            messages.success(request, f"{shown(channel)}: sent.")
    return back(request, "dashboard:alerts")
