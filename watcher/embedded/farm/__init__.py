"""Jobs on Celery workers: ``serve`` keeps the books, workers elsewhere run the attempts.

What is true stands in the store of ``serve`` and in the shared folder of jobs; Redis carries word
from one to the other, and may be lost at any time. ``claims`` says how an attempt is run once.
"""
