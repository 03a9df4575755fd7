"""A Django app of job types that do what a test asks for, and write down that they did."""
