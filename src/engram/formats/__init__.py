"""Files of other programs, read as messages."""
