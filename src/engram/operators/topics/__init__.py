"""Memories by topic: filing them, keeping the topics, and what would be trained on them."""
