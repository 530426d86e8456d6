"""Learning while in use: what answers cite changes how the next candidates are ordered."""
