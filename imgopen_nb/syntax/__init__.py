"""The language of a magic line: its words, its options, and a call written as code."""
