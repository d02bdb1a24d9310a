"""`make run`: the whole product on one machine, with its state in .run of the checkout."""
