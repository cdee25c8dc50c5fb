"""A program of its own: one query of an SQLite file as an Arrow stream on its standard output.

It runs in a process of its own because ADBC brings a second SQLite library. Two of them on one file
in one process undo each other's file locks: the last rows in the WAL are lost to everybody else.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import adbc_driver_sqlite
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement

BATCH_ROWS = 65_536


def stream(asked: dict[str, Any]) -> None:
    """Write what `asked["sql"]` finds in the file `asked["uri"]`."""
    with (
        adbc_driver_sqlite.connect(asked["uri"]) as database,
        AdbcConnection(database) as connection,
        AdbcStatement(connection) as statement,
    ):
        statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
        statement.set_sql_query(asked["sql"])
        found = pa.RecordBatchReader.from_stream(statement.execute_query()[0])
        with pa.ipc.new_stream(pa.PythonFile(sys.stdout.buffer, "w"), found.schema) as out:
            for batch in found:
                batch.validate(full=True)  # no text that is not UTF-8
                out.write_batch(batch)


if __name__ == "__main__":
    stream(json.load(sys.stdin))
