"""What can follow `%imgopen` in a notebook and `imgopen` in a shell."""
