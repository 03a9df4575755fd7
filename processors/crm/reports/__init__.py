"""Reports over a period, as files.

`kinds` has what each kind of report counts, in the shapes of `shapes`; `xlsx` and `pdf` draw these, and are imported
only by the job that needs them, since their libraries are an extra (`reports`).
"""
