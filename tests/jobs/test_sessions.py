import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, DataError, ProgrammingError, connection, transaction
from django.db.backends.sqlite3 import base as sqlite3
from django.db.transaction import TransactionManagementError

from jobs.models import Event
from jobs.sessions import PREPARED, fetch, own_session, plain_connection, side_session, tidy, without_side_session


def note(kind: str) -> None:
    Event.objects.create(kind=kind, actor="ann")


def notes() -> list[str]:
    return list(Event.objects.order_by("id").values_list("kind", flat=True))


def backend() -> int:
    """The server's process behind this thread's session."""
    process: int = fetch("SELECT pg_backend_pid()", {})[0][0]
    return process


def end_session(process: int) -> None:
    """As a restart does. Returns when it is over."""
    fetch("SELECT pg_terminate_backend(%(process)s, 30000)", {"process": process})


def in_a_thread(act: Callable[[], Any]) -> Any:
    answer: list[Any] = []

    def run() -> None:
        try:
            answer.append(act())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answer[0]


@pytest.mark.django_db
class TestFetch:
    def test_gives_rows_of_what_was_asked(self) -> None:
        rows = fetch("SELECT n, %(text)s::text FROM unnest(%(many)s::int[]) AS t(n)", {"many": [1, 2], "text": "%s'"})
        assert rows == [(1, "%s'"), (2, "%s'")]

    def test_gives_none_of_a_statement_without_rows(self) -> None:
        assert fetch("UPDATE jobs_event SET kind = 'x' WHERE false", {}) == []

    def test_takes_part_in_the_transaction(self) -> None:
        with transaction.atomic():
            fetch("INSERT INTO jobs_event (kind, actor) VALUES ('a', 'ann')", {})
            assert notes() == ["a"]
            transaction.set_rollback(True)
        assert notes() == []

    def test_raises_djangos_errors(self) -> None:
        with pytest.raises(ProgrammingError), transaction.atomic():
            fetch("SELECT nothing", {})
        with pytest.raises(DataError), transaction.atomic():
            fetch("SELECT 1 / 0", {})

    def test_refuses_to_go_on_in_a_broken_transaction(self) -> None:
        with transaction.atomic():
            transaction.set_rollback(True)
            with pytest.raises(TransactionManagementError):
                fetch("SELECT 1", {})


@pytest.mark.django_db(transaction=True)
class TestOwnSession:
    def test_is_another_one_with_its_own_time_limits(self) -> None:
        def look() -> tuple[Any, ...]:
            own_session(lock_timeout=1234, statement_timeout=5678)
            first = backend()
            own_session()  # again, as after an outage
            return first, backend(), fetch("SHOW lock_timeout", {})[0][0]

        first, second, lock_timeout = in_a_thread(look)
        assert len({first, second, backend()}) == 3
        assert lock_timeout == "0"

    def test_keeps_its_time_limits(self) -> None:
        def look() -> list[Any]:
            own_session(lock_timeout=1234, statement_timeout=5678)
            return [fetch(f"SHOW {name}", {})[0][0] for name in ("lock_timeout", "statement_timeout")]

        assert in_a_thread(look) == ["1234ms", "5678ms"]

    def test_is_plain_even_where_others_share_a_pool(self) -> None:
        wrapper = plain_connection()
        assert wrapper.settings_dict["CONN_MAX_AGE"] is None
        assert "pool" not in wrapper.settings_dict["OPTIONS"]
        assert wrapper.settings_dict["NAME"] == connection.settings_dict["NAME"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("side")
class TestSideSession:
    def test_commits_whatever_becomes_of_the_callers_transaction(self) -> None:
        with transaction.atomic():
            note("rolled back")
            with side_session():
                note("kept")
                assert notes() == ["kept"]  # it does not see the caller's row
            assert backend() == fetch("SELECT pg_backend_pid()", {})[0][0]
            transaction.set_rollback(True)
        assert notes() == ["kept"]

    def test_is_one_for_all_threads(self) -> None:
        def look() -> int:
            with side_session():
                return backend()

        with side_session():
            mine = backend()
        assert {in_a_thread(look) for _ in range(3)} == {mine}
        assert backend() != mine

    def test_serves_one_thread_at_a_time(self) -> None:
        inside: list[str] = []
        entered = threading.Event()

        def other() -> None:
            entered.set()
            with side_session():
                inside.append("other")

        thread = threading.Thread(target=other)
        with side_session():
            thread.start()
            assert entered.wait(30)
            note("a")
            inside.append("this")
        thread.join()
        assert inside == ["this", "other"]

    def test_heals_after_an_error(self) -> None:
        with pytest.raises(DataError), side_session():
            fetch("SELECT 1 / 0", {})
        with side_session():
            note("after")
        assert notes() == ["after"]

    def test_is_made_anew_where_it_was_ended_meanwhile(self) -> None:
        with side_session():
            lost = backend()
        end_session(lost)
        with side_session():
            note("after")
            assert backend() != lost
        assert notes() == ["after"]

    def test_heals_after_its_connection_was_lost(self) -> None:
        def note_in_an_ended_session() -> None:
            with side_session():
                lost = backend()
                in_a_thread(lambda: end_session(lost))
                note("lost")

        with pytest.raises(Exception, match=r"terminat|closed|lost"):
            note_in_an_ended_session()
        with side_session():
            note("after")
        assert notes() == ["after"]

    def test_may_be_left_out_in_a_test(self) -> None:
        with without_side_session(), transaction.atomic():
            with side_session():
                note("in the transaction")
            transaction.set_rollback(True)
        assert notes() == []


@pytest.mark.django_db
def test_a_connection_keeps_few_texts() -> None:
    """They may be as large as what was written."""
    assert connection.cursor().connection.prepared_max == PREPARED


@pytest.mark.django_db
def test_another_database_is_left_as_it_is() -> None:
    """An application may have one of another kind."""
    other = sqlite3.DatabaseWrapper({**connection.settings_dict, "NAME": ":memory:", "OPTIONS": {}}, "other")
    other.connect()
    assert other.is_usable()
    other.close()


@pytest.mark.django_db(transaction=True)
class TestTidy:
    def test_closes_what_was_left_inside_a_transaction(self) -> None:
        def left() -> bool:
            connection.set_autocommit(False)
            note("never committed")
            tidy()
            return connection.connection is None

        assert in_a_thread(left)
        assert notes() == []

    def test_an_error_while_closing_stays_here(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its caller is about to say what became of a run."""

        def refuse() -> None:
            raise DatabaseError("it will not close")

        def left() -> str:
            connection.set_autocommit(False)
            with monkeypatch.context() as patch:
                patch.setattr(connection, "close", refuse)
                tidy()
            return caplog.text

        assert "it will not close" in in_a_thread(left)
