"""The words that every other floor speaks: records, scopes, changes, effects, policies, drivers, protocols, errors.

Standard library only.
"""
