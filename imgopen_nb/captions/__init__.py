"""What captions say: comparable words, comparisons, merged tags, what people wrote."""
