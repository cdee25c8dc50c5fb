"""A program that writes the result of one SQLite query to standard output as an Arrow stream.

It runs in a separate process because ADBC has its own copy of the SQLite library. Two copies in
one process break each other's locks on the same file, and the last rows in the WAL would be lost.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import adbc_driver_sqlite
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement

BATCH_ROWS = 16_384


def stream(asked: dict[str, Any]) -> None:
    """Write the result of `asked["sql"]` on the file `asked["uri"]`."""
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
