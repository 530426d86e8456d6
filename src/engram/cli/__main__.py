"""`python -m engram.cli`, for where `engram` is not on the path."""

from __future__ import annotations

from engram.cli import main

if __name__ == "__main__":
    main()
