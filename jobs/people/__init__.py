"""Who may do what: roles, sessions, ways to log in, tokens. Of jobs it knows the permissions' names only."""
