"""Images with captions: which ones somebody means, and what is known of them."""
