"""HTTP with Img Open: one exchange, submitting at most once, the shared rate."""
