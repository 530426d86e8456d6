"""Notes of turns: keywords, tags and context beside the words, links between them, and how they evolve."""
