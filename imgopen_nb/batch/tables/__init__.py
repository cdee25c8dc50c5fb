"""Tables of every kind as rows in columns: in files, in memory, of any library."""
