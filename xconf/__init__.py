"""xconf: a conference server for telephones. A few people speak, thousands listen."""

import os

# The matrices of a tick are small: numpy's helper threads would cost more than they bring, and take the senders' core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
