"""The API for programs, /api/v1/: what the pages show and ask for, as JSON, by token. See docs/api.md.

It decides nothing: rows come from the models, wishes go through `jobs.asking`, rights are those of `jobs.people`.
"""
