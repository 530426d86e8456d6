"""The life of a memory: its states, how it is scheduled by use, where it would be handed over."""
