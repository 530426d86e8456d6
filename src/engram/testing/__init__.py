"""What authors of stores and policies test with: contracts, state machines, fault injection, doubles.

Modules here import pytest and hypothesis; nothing else of engram imports them.
"""
