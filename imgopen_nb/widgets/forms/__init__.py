"""A form for each operation, made from its row of the catalogue."""
