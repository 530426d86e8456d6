"""The words that every other floor speaks: records, scopes, changes, effects, drivers, protocols, errors.

Standard library only.
"""
