"""Old addresses of what has moved; nothing lives here."""
