"""The page that a customer reaches from a mail, to get no more of its kind; and the files of reports."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from . import addresses
from .models import ReportFile, Suppression


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


@never_cache
@login_required
@permission_required(ReportFile.PERMISSION, raise_exception=True)
@require_safe
def report(request: HttpRequest, file_id: int) -> HttpResponse:
    """A report's file, whole: they are small. Whoever may not see reports gets a 403."""
    found = get_object_or_404(ReportFile.objects.select_related("report"), pk=file_id)
    try:
        with found.file.open("rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise Http404("its file is gone") from error
    headers = {"Content-Disposition": f'attachment; filename="{found.download_name}"'}
    return HttpResponse(content, content_type=ReportFile.CONTENT_TYPES[found.format], headers=headers)
