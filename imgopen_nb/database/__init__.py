"""The SQLite file of a home folder: its tables, migrations and queries."""
