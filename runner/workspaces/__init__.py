"""What a job finds at /workspace, made and removed: a folder on this host now, a volume on another host's engine later.

The verbs that a second kind will share: `prepare`, `notes`, `prepared_at_ns`, `remove`.
"""
