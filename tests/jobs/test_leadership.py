import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from jobs.leadership import lead, resign, unbroken
from jobs.models import Leader

OVER = -1.0  # seconds: a lease that is over as soon as it is given


@pytest.mark.django_db
class TestLead:
    def test_is_taken_by_the_first_who_asks(self) -> None:
        assert lead("beat", "one", 60)
        assert not lead("beat", "two", 60)
        assert Leader.objects.get(duty="beat").holder == "one"

    def test_is_kept_by_asking_again(self) -> None:
        assert lead("beat", "one", 60)
        before = Leader.objects.get(duty="beat").expires_at
        assert lead("beat", "one", 60)
        assert Leader.objects.get(duty="beat").expires_at > before

    def test_is_taken_over_when_the_lease_is_over(self) -> None:
        assert lead("beat", "one", OVER)
        assert lead("beat", "two", 60)
        assert not lead("beat", "one", 60)

    def test_is_one_lease_for_each_duty(self) -> None:
        assert lead("beat", "one", 60)
        assert lead("upkeep", "two", 60)

    def test_is_free_once_the_leader_resigns(self) -> None:
        assert lead("beat", "one", 60)
        resign("beat", "one")
        assert lead("beat", "two", 60)

    def test_is_not_ended_by_who_does_not_lead(self) -> None:
        assert lead("beat", "one", 60)
        resign("beat", "two")
        assert not lead("beat", "two", 60)

    def test_is_unbroken_through_a_hand_over(self) -> None:
        lead("beat", "one", 60)
        Leader.objects.update(unbroken_since=Now() - timedelta(seconds=100))
        resign("beat", "one")
        assert lead("beat", "two", 60)
        assert unbroken("beat") >= 100

    def test_is_broken_by_a_gap_of_more_than_half_a_term(self) -> None:
        lead("beat", "one", 60)
        hundred = timedelta(seconds=100)
        Leader.objects.update(unbroken_since=Now() - hundred, expires_at=Now() - timedelta(seconds=31))
        assert lead("beat", "one", 60)
        assert unbroken("beat") < 100

    def test_has_not_been_at_all_where_nobody_ever_led(self) -> None:
        assert unbroken("beat") == 0


@pytest.mark.django_db(transaction=True)
def test_one_of_many_that_ask_at_once_leads() -> None:
    together = threading.Barrier(20)
    leaders = []

    def ask(holder: str) -> None:
        connection.ensure_connection()
        together.wait()
        if lead("beat", holder, 60):
            leaders.append(holder)
        connection.close()

    lead("beat", "gone", OVER)
    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Leader.objects.get().holder] == leaders
