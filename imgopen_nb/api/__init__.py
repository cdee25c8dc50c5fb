"""HTTP with Img Open: single exchanges, submissions that are accepted once, a shared rate limit."""
