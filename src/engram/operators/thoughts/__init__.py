"""Thoughts about what was said: hashed into groups, merged and forgotten, tagged, put under headings."""
