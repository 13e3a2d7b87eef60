"""What every room may use: messages of refusal, validation of input, paths, files written whole, locks."""
