"""The self-hosted Language server: the same wire module as the service, at its other end."""
