"""engram as a service: REST for any program, with keys that reach their own scope and nothing else.

Nothing here is loaded by `import engram`. `engram serve` starts it; `engram keys` makes what it asks for.
"""

__all__: list[str] = []
