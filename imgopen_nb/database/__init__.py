"""The one SQLite file of a user: its tables, its migrations and its queries."""
