"""`%imgopen` and `%%imgopen`, and Tab after them."""
