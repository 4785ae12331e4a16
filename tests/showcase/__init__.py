"""A believable backend to look at: `python -m tests.showcase` fills the database of WORK_DIR. See `backend.fill`."""
