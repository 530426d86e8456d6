"""Summaries that run along: brought up to date by what is new, under a bound, as older turns are let go."""
