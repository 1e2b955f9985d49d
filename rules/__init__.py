"""What is true: events, predicates, Sigma, windows, alerts; and the shipped rules. Pure: no clock, no I/O."""
