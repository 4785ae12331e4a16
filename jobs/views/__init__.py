"""The dashboard: what operators look at and ask for. Fetch, ask the model, render; no git, no engine, no job-server."""
