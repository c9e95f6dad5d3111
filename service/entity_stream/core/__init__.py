"""Every decision of the service, and nothing else: no I/O, no clock, no randomness, no asyncio; time is an argument."""
