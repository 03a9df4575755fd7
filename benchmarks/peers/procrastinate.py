"""Procrastinate: every job is a row in PostgreSQL, committed at its enqueue and at its end."""

import asyncio
import os

from procrastinate import App, PsycopgConnector
from psycopg import connect

from benchmarks.driver import AsyncPeer
from benchmarks.marks import mark_async

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))
task = app.task(name="mark")(mark_async)


class Procrastinate(AsyncPeer):
    def reset(self) -> None:
        with connect(os.environ["DATABASE_URL"], autocommit=True) as session:
            session.execute("DROP SCHEMA public CASCADE")
            session.execute("CREATE SCHEMA public")
        asyncio.run(self._make_tables())

    async def _make_tables(self) -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await app.open_async()

    async def close(self) -> None:
        await app.close_async()

    async def enqueue_async(self, sent: int, wait_ms: int) -> None:
        await task.defer_async(sent=sent, wait_ms=wait_ms)

    async def bulk_async(self, count: int, wait_ms: int) -> None:
        await task.batch_defer_async(*({"sent": 0, "wait_ms": wait_ms} for _ in range(count)))

    def work(self, slots: int) -> None:
        app.run_worker(concurrency=slots)


peer = Procrastinate()
