"""The machinery behind the faces: it joins a store, an embedder and a policy, and performs effects.

Operations are written once, as programs of effects; `engram.memory` runs them blocking and
`engram.aio` on an event loop.
"""
