"""What customers do with what is inside their servers: backups, and whatever else their provider offers.

A page asks no provider. What it shows is a `Listing` that a worker read; what its buttons ask for is an `Operation`
that a worker carries out once. `kinds` says what there is, `operations` how it is done, `sections` which pages a
server has.
"""
