"""The answer, in a sentence and a figure."""
