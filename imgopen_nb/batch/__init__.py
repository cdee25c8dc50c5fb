"""One operation on many images: reading the input, running the calls, and the results."""
