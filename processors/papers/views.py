"""The pages of the paper manager: a user's own papers, and their analyses as they come.

An example of jobs behind an application's own pages: started by `.delay()` in the view's transaction, watched by
people who have no part in running the platform. What an analysis does is `tasks`' business.
"""

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from celery.result import AsyncResult
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs import cancel as cancel_jobs
from jobs import retry as retry_jobs

from .forms import ProvidersForm, UploadForm
from .models import Analysis, Paper
from .reading import MAX_BYTES
from .tasks import ai_analysis

PAGE = 20  # papers
LOGIN = "papers:login"
Status = Analysis.Status
UNDER_WAY = (Status.WAITING, Status.RUNNING)


@dataclass
class State:
    """How the analyses of a paper stand: of each provider the newest."""

    analyses: list[Analysis]

    @classmethod
    def of(cls, paper: Paper) -> "State":
        state = cls(list(Analysis.objects.latest_of(paper)))
        if state.stopped:  # or done, when its job ended between our looks at the one and the other
            state = cls(list(Analysis.objects.latest_of(paper)))
        return state

    @cached_property
    def active(self) -> list[UUID]:
        """Their jobs that have not ended."""
        jobs = dict.fromkeys(analysis.job for analysis in self.analyses)
        return [job for job in jobs if _is_active(job)]

    @cached_property
    def unfinished(self) -> list[Analysis]:
        """Those that a job which has ended leaves without a result."""
        return [row for row in self.analyses if row.status != Status.DONE and row.job not in self.active]

    @cached_property
    def stopped(self) -> list[Analysis]:
        """Those of them that nobody ended: their job was cancelled before it began, or given up with its worker."""
        return [row for row in self.unfinished if row.status in UNDER_WAY]

    @property
    def headline(self) -> str:
        done = sum(analysis.status == Status.DONE for analysis in self.analyses)
        if self.active:
            return f"{done} of {len(self.analyses)} have answered"
        if self.unfinished:
            return "Partly completed" if done else "Not completed"
        return "Completed"


def _is_active(job: UUID) -> bool:
    result: AsyncResult[object] = AsyncResult(str(job))
    return result.name is not None and not result.ready()  # without a name: pruned


@never_cache
@login_required(login_url=LOGIN)
@require_http_methods(["GET", "HEAD", "POST"])
def papers(request: HttpRequest) -> HttpResponse:
    """A user's papers, and the form for one more."""
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_bound and form.is_valid():
        read = form.cleaned_data["file"]
        title = form.cleaned_data["title"] or read.title
        added = Paper.objects.create(owner_id=request.user.pk, title=title, text=read.text)
        return redirect("papers:paper", added.pk)
    done = Count("analyses", filter=Q(analyses__status=Status.DONE))
    found = _own(request).defer("text").annotate(done=done).order_by("-created_at", "pk")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "most": MAX_BYTES // 1024**2}
    return render(request, "papers/papers.html", context)


@never_cache
@login_required(login_url=LOGIN)
@require_safe
def paper(request: HttpRequest, paper_id: str) -> HttpResponse:
    """A paper, what is being done with it and what was said about it."""
    return _show(request, get_object_or_404(_own(request), pk=paper_id), ProvidersForm())


@never_cache
@login_required(login_url=LOGIN)
@require_safe
def analyses(request: HttpRequest, paper_id: str) -> HttpResponse:
    """The part of a paper's page that changes while a job runs."""
    found = get_object_or_404(_own(request).defer("text"), pk=paper_id)
    return render(request, "papers/analyses.html", {"state": State.of(found)})


@login_required(login_url=LOGIN)
@require_POST
def analyse(request: HttpRequest, paper_id: str) -> HttpResponse:
    """Start an analysis: the job and the rows that the page shows are there together, or none of them."""
    form = ProvidersForm(request.POST)
    with transaction.atomic():
        found = get_object_or_404(_own(request).select_for_update(), pk=paper_id)
        if not form.is_valid():
            return _show(request, found, form)
        if State.of(found).active:  # two clicks
            return redirect("papers:paper", found.pk)
        providers = form.cleaned_data["providers"]
        job = ai_analysis.delay(paper_id=found.pk, providers=providers)
        Analysis.objects.bulk_create(Analysis(paper=found, provider=name, job=job.id, run=0) for name in providers)
    return redirect("papers:paper", found.pk)


@login_required(login_url=LOGIN)
@require_POST
def retry(request: HttpRequest, paper_id: str) -> HttpResponse:
    """Run the failed jobs of a paper again. They ask only the providers that have not answered."""
    with transaction.atomic():
        found = get_object_or_404(_own(request).select_for_update(), pk=paper_id)
        unfinished = State.of(found).unfinished
        retried = retry_jobs({row.job for row in unfinished}, actor=_actor(request)).retried
        again = [row.pk for row in unfinished if row.job in retried]
        Analysis.objects.filter(pk__in=again).update(status=Status.WAITING, error="", error_class="")
    if len(again) < len(unfinished):
        messages.warning(request, "What failed is too old to be tried again. Start a new analysis.")
    return redirect("papers:paper", found.pk)


@login_required(login_url=LOGIN)
@require_POST
def cancel(request: HttpRequest, paper_id: str) -> HttpResponse:
    """Cancel the jobs of a paper. A running one ends in a moment; what its providers have said is kept."""
    found = get_object_or_404(_own(request).defer("text"), pk=paper_id)
    outcomes = cancel_jobs(State.of(found).active, actor=_actor(request))
    at_once = [job for job, status in outcomes.items() if status == "cancelled"]
    Analysis.objects.filter(job__in=at_once, status__in=UNDER_WAY).update(status=Status.CANCELLED)
    return redirect("papers:paper", found.pk)


def _own(request: HttpRequest) -> QuerySet[Paper]:
    return Paper.objects.filter(owner=request.user.pk)


def _actor(request: HttpRequest) -> str:
    return request.user.get_username()


def _show(request: HttpRequest, found: Paper, form: ProvidersForm) -> HttpResponse:
    context = {"paper": found, "words": len(found.text.split()), "state": State.of(found), "form": form}
    return render(request, "papers/paper.html", context)
