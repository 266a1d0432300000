"""Networks and their derivatives; they know nothing of algorithms."""
