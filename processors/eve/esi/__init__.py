"""ESI, EVE Online's API: what it has (`endpoints`), a call (`client`), what is kept (`answers`), reading (`reading`).

Nothing here knows a job, or what becomes of the rows.
"""
