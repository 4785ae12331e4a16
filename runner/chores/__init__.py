"""The chores of the runner's room, and the process beside the loop that does all chores (`jobs.chores`)."""
