"""For all tests: hypothesis judges none by its time, which says more of the machine than of the code."""

from hypothesis import settings

settings.register_profile("ours", deadline=None)
settings.load_profile("ours")
