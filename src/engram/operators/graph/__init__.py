"""Graphs of entities and relations."""
