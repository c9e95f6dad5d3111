"""The Language REST API, both directions: what a client encodes a server decodes, and the other way round."""
