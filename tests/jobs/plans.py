"""What Postgres does for a statement of ours: the plans of all that run in a block, each executed and undone first."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import sql

TABLE = "jobs_job"
PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass
class Plans:
    """How the table of jobs was read."""

    generic: bool  # planned once, without knowing the parameters
    scanned: list[str] = field(default_factory=list)  # statements that read the whole table
    indexes: set[str] = field(default_factory=set)
    touched: float = 0  # rows of the table, or of its indexes, that were looked at
    compared: float = 0  # pairs of rows that a join looked at in vain

    def explain(self, session: Any, query: str, parameters: Mapping[str, Any]) -> None:
        """Run a statement for its plan, and undo it."""
        if query.lstrip(" \n(").split(maxsplit=1)[0] not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
            return
        with psycopg.Cursor(session) as cursor:
            cursor.execute("SAVEPOINT explained")
            if self.generic:
                names = list(dict.fromkeys(PARAMETER.findall(query)))
                numbered = PARAMETER.sub(lambda name: f"${names.index(name[1]) + 1}", query).replace("%%", "%")
                cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
                cursor.execute(f"PREPARE explained AS {numbered}")
                given = sql.SQL(", ").join([sql.Literal(parameters[name]) for name in names])
                call = sql.SQL("({})").format(given) if names else sql.SQL("")
                cursor.execute(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained") + call)
            else:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", parameters)
            ((plan,),) = cursor.fetchall()
            cursor.execute("ROLLBACK TO SAVEPOINT explained")
            if self.generic:
                cursor.execute("DEALLOCATE explained")
        self._read(plan[0]["Plan"], query)

    def _read(self, node: dict[str, Any], query: str) -> None:
        if node.get("Relation Name") == TABLE and "Scan" in node["Node Type"]:
            seen = sum(node.get(rows, 0) for rows in ("Actual Rows", "Rows Removed by Filter"))
            self.touched += seen * node["Actual Loops"]
            if node["Node Type"] == "Seq Scan":
                self.scanned.append(query)
        self.compared += node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]
        if name := node.get("Index Name"):
            self.indexes.add(name)
        for inner in node.get("Plans", ()):
            self._read(inner, query)


@contextmanager
def plans(*, generic: bool) -> Iterator[Plans]:
    """The plans of every statement in this block."""
    seen = Plans(generic)
    plain = psycopg.Cursor

    class Explaining(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(psycopg, "Cursor", plain)
                seen.explain(self.connection, query, params or {})
            return super().execute(query, params, **options)

    def of_django(execute: Callable[..., Any], query: str, params: Any, many: bool, context: Any) -> Any:
        if not generic and not many:  # Django writes parameters into the statement
            with psycopg.ClientCursor(connection.connection) as cursor:
                seen.explain(connection.connection, cursor.mogrify(query, params).replace("%", "%%"), {})
        return execute(query, params, many, context)

    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(of_django):
        patch.setattr(psycopg, "Cursor", Explaining)
        connection.ensure_connection()
        # At a rollback psycopg forgets what it has prepared, and would take our statement with it.
        patch.setattr(connection.connection, "prepare_threshold", None)
        yield seen
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [TABLE])
        seen.indexes &= {name for (name,) in cursor.fetchall()}
