"""What holds for every test: hypothesis sets no deadline, because a shared machine may stall any one example.

Everything else a test needs stands in its own folder.
"""

from hypothesis import settings

settings.register_profile("postdate", settings(deadline=None))
settings.load_profile("postdate")
