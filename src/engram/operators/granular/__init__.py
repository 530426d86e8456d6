"""Sessions that are over as memories of several granularities: units, their association, and the router."""
