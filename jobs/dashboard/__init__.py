"""The live dashboard: what staff see and do at `/` and `/jobs/…`.

Each module is one page with its actions. Pages read (`statistics`, `metrics`, `search`, `health`) and ask
`lifecycle`, `scheduling` or `bulk` to change something, by a POST that leaves an Event with the user's name.
Names of words and numbers are `templatetags.dashboard`'s, looks are `static/jobs/dashboard.css`'s.
"""
