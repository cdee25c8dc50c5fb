"""One operation on many pictures: where rows come from, how they run, what comes back."""
