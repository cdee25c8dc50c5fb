"""One operation on many pictures: reading the input, running the calls, and the results."""
