"""Every method: a file of its own with a function of a `Scenario` that gives a `Design`, and its record."""
