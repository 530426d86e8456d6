"""Measuring engram: recall on conversations with known evidence, and speed against floors of the same run."""
