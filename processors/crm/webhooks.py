"""Where Stripe sends its events."""

import logging

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from . import events, stripe_client

log = logging.getLogger(__name__)


@csrf_exempt  # Stripe has no cookie; its signature is what counts
@require_POST
def stripe(request: HttpRequest) -> HttpResponse:
    """Take an event, once. Anything but a 200 makes Stripe send it again later."""
    body = request.body
    if not stripe_client.is_signed(body, request.headers.get("Stripe-Signature", "")):
        return HttpResponse("The signature is wrong or too old.", status=400, content_type="text/plain")
    event = events.receive(body)
    if event is not None:
        log.info("Stripe's event %s (%s) was taken", event.pk, event.type)
    return HttpResponse("ok", content_type="text/plain")
