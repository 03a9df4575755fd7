"""The page that a customer reaches from a mail, to get no more of its kind."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from . import addresses
from .models import Suppression


@csrf_exempt  # mail programs send the POST by themselves, without a cookie (RFC 8058); the token is what counts
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest) -> HttpResponse:
    """A POST takes the address off marketing. A GET only asks: programs that look into mails follow links."""
    address = addresses.address_of(request.GET.get("token", ""))
    if address is None:
        raise Http404("no such token")
    if request.method == "POST":
        addresses.suppress(address, Suppression.Reason.UNSUBSCRIBED)
    return render(request, "crm/unsubscribe.html", {"address": address, "done": request.method == "POST"})
