"""From facts to what is believed."""
