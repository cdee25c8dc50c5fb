"""What outsiders get: signed addresses to call back and to fetch pictures, and what came in."""
