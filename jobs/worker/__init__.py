"""The feed: a part of Celery's worker that takes jobs from Postgres, gives them to its pool and writes their outcomes.

Its modules:
    step        starts and stops everything, in Celery's order
    feed        what this worker holds: claims, buffer, outcomes, and the loop that trades with Postgres
    held        a run that this worker answers for
    slots       how a buffer of jobs gets into a pool of threads, or one thread
    trips       the same for a pool of processes
    prefork     Celery's pool of processes, with pipes of their own
    request     Celery's view of a running job, for events, `inspect` and signals
    leases      renewal, heartbeat, deadlines
    wakeups     tokens from Redis
    control     remote commands: stop_job, revoke
    taskevents  Flower's events, merged and in batches
"""
