"""`python -m benchmarks.crm`: the service CRM at work that mostly waits, with the slots it takes and what they allow.

A batch of items, a promotion to many by SMTP, and offers by the cron's look. The ratio is to items x seconds / slots.
Options: --rounds N, --only NAME. Figures of one machine and run compare with each other only.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.servers import servers
from benchmarks.workers import until, workers

if TYPE_CHECKING:
    from processors.crm.sandbox.smtp import PostOffice

MAIL_SLOTS = 60
OFFER_SLOTS = 24  # of two workers
POOLED = "worker-io"  # the role in which many threads share a few sessions
# Making an offer takes as long as this, wherever it is made.
SLOW_OFFERS = """
CREATE FUNCTION slow_offer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
CREATE TRIGGER slow_offer BEFORE UPDATE ON crm_opportunity FOR EACH ROW EXECUTE FUNCTION slow_offer();
"""


def main() -> None:
    options = argparse.ArgumentParser(prog="benchmarks.crm", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="", help="cases with this in their name")
    chosen = options.parse_args()
    with servers():
        run(chosen.rounds, chosen.only)


def run(rounds: int, only: str) -> None:
    import django
    from django.core.management import call_command
    from django.db import connection

    from jobs.management.embedded import free_port
    from processors.crm.sandbox.smtp import HOST, PostOffice, serve

    port = free_port()
    os.environ.update(EMAIL_URL=f"smtp://{HOST}:{port}", EMAIL_FROM="mail@crm.example", SITE_URL="https://crm.example")
    django.setup()
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(SLOW_OFFERS)
    office = PostOffice()
    server = serve(office, port)
    cases: list[tuple[str, int, float, Callable[[], float]]] = [
        ("batch_process, 100 items of 200 ms", 50, 100 * 0.2 / 50, batch),
        ("1,000 mails of 500 ms", MAIL_SLOTS, 1000 * 0.5 / MAIL_SLOTS, lambda: mails(office)),
        ("500 offers of 300 ms", OFFER_SLOTS, 500 * 0.3 / OFFER_SLOTS, offers),
    ]
    try:
        for name, slots, ideal, measure in [case for case in cases if only in case[0]]:
            took = [measure() for _ in range(rounds)]
            middle = statistics.median(took)
            print(
                f"{name}, {slots} at a time: {middle:.2f} s ({min(took):.2f} to {max(took):.2f}), "
                f"{middle / ideal:.2f} of the ideal {ideal:.2f} s",
                flush=True,
            )
    finally:
        server.stop()


def batch() -> float:
    from benchmarks.tasks import side_by_side

    with workers(["threads -c 2"]):
        _seconds(side_by_side.name, {"items": 1, "seconds": 0, "size": 1})  # its sessions are open then
        return _seconds(side_by_side.name, {"items": 100, "seconds": 0.2, "size": 50})


def mails(office: "PostOffice") -> float:
    from processors.crm.models import Customer, Promotion, SentMail

    office.reset()
    office.latency = 0.5
    for model in (SentMail, Customer, Promotion):
        model.objects.all().delete()
    Promotion.objects.create(id="spring", name="Spring", subject="Spring", text="Clean windows.")
    Customer.objects.bulk_create(
        Customer(id=f"c{n}", name=f"Customer {n}", email=f"c{n}@example.com") for n in range(1000)
    )
    with workers(["threads -c 2"], queue="crm", JOBYARD_ROLE=POOLED):
        took = _seconds("send_promotions", {"promotionId": "spring", "batchSize": MAIL_SLOTS})
    if office.recipients().total() != 1000:
        raise RuntimeError(f"the mail server has {office.recipients().total()} mails")
    return took


def offers() -> float:
    """From the cron's look to the end of the last offer."""
    from jobs.models import Job
    from processors.crm import opportunities
    from processors.crm.models import Customer, Opportunity

    Job.objects.all().delete()
    Opportunity.objects.all().delete()
    owner, _ = Customer.objects.get_or_create(id="c0", defaults={"name": "Customer", "email": "c0@example.com"})
    Opportunity.objects.bulk_create(
        Opportunity(id=str(n), customer=owner, title=f"No. {n}", estimated_value=n + 1) for n in range(500)
    )
    made = Job.objects.filter(type="process_opportunity_offer")
    commands = [f"threads -c {OFFER_SLOTS // 2}"] * 2
    with workers(commands, queue="crm", JOBYARD_ROLE=POOLED, EMAIL_URL="dummymail://"):
        opportunities.queue_offers()
        until(lambda: not made.active().exists())
    ends = [end for end in made.filter(status="completed").values_list("finished_at", flat=True) if end]
    if len(ends) != 500:
        raise RuntimeError(f"{len(ends)} offers were made")
    return (max(ends) - made.earliest("created_at").created_at).total_seconds()


def _seconds(type_: str, payload: dict[str, object]) -> float:
    """That a job takes."""
    from jobs.models import Job
    from jobs.processor import enqueue

    row = enqueue(type_, payload)
    until(lambda: Job.objects.terminal().filter(id=row.id).exists())
    job = Job.objects.get(id=row.id)
    if job.status != "completed" or not (job.started_at and job.finished_at):
        raise RuntimeError(f"{type_} is {job.status}")
    return (job.finished_at - job.started_at).total_seconds()


if __name__ == "__main__":
    main()
