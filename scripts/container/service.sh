#!/bin/sh
# What the image begins with: files that the services make are for nobody else (names and outputs of patients), as the
# units for systemd have it; UMASK=0027 if a group of reviewers reads the storages. Then it is the command itself.
umask "${UMASK:-0077}"
exec "$@"
