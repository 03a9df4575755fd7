"""The thread that looks at the rules while it leads."""

import logging
import threading

from django.db import Error as DatabaseError
from django.db import connection

from jobs import leadership
from jobs.alerts.states import look
from jobs.sessions import own_session

log = logging.getLogger("jobs.alerts")

DUTY = "alerts"
INTERVAL = 15.0  # seconds between two looks
TERM = 3 * INTERVAL  # seconds a leader is believed: mail may take its time


class Watch(threading.Thread):
    """A candidate for the lead: one in each worker and each beat."""

    def __init__(self, holder: str) -> None:
        super().__init__(name="jobs-alerts", daemon=True)
        self.holder = holder
        self.ended = threading.Event()

    def run(self) -> None:
        connected = False
        while not self.ended.wait(INTERVAL):
            try:
                if not connected:
                    own_session(lock_timeout=5_000, statement_timeout=30_000)
                    connected = True
                if leadership.lead(DUTY, self.holder, TERM):
                    look()
            except DatabaseError as error:
                log.warning("alerts interrupted, trying again: %s", str(error).strip().partition("\n")[0])
                connected = False
            except Exception:
                log.exception("alerts stumbled, going on")
                connected = False
        try:
            leadership.resign(DUTY, self.holder)
        except DatabaseError:
            log.info("the lead of alerts ends by itself")
        finally:
            connection.close()
