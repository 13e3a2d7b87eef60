"""What can be true of a patient and of a figure: words and formulas that every room shares."""
