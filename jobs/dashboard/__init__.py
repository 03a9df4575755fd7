"""The live dashboard: what staff see and do at `/` and `/jobs/…`.

Each module is one page with its actions. Pages read (`statistics`, `metrics`, `search`, `health`) and ask
`lifecycle`, `scheduling` or `bulk` to change something, by a POST that leaves an Event with the user's name.
A part of a page that is live is an element with an id that asks for itself:

    <section id="queues" hx-get="{{ request.get_full_path }}" hx-select="#queues" hx-swap="outerHTML"
             hx-trigger="jobs:changed from:body throttle:2s, every 30s">

`static/jobs/dashboard.js` fires `jobs:changed`, and leaves alone what is under somebody's hands.
Names of words and numbers are `templatetags.dashboard`'s, looks are `static/jobs/dashboard.css`'s.
"""
