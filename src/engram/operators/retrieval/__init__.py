"""Finding: the in-memory index of a scope, the columns of signals it computes, and what joins them."""
