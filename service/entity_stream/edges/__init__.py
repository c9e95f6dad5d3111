"""Where the service touches the outside: every import of a client library is in here."""
