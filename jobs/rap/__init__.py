"""The RAP API: a job-server calls us, instead of being polled (wire contract §2). Part of the web.

What arrives becomes the same rows as what is polled (`jobs.models.JobRequest`), and they are planned by the same
process: nothing here reads a study, knows git or the engine.
"""
