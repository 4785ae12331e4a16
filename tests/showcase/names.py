"""What the showcase calls its workspaces and requests; a job's identifier follows from its request's and its action."""

DIABETES, COVID, VACCINES = "diabetes-in-primary-care", "long-covid-2026", "vaccine-uptake"
EARLIER, RUNS, FAILS, WAITS = "earlierrequest22", "runningrequest22", "failingrequest22", "waitingrequest22"
TROUBLES, REFUSED, UNPLANNED = "troubledrequest2", "refusedrequest22", "unplannedrequest"
