"""Jobs: the row that is the truth, its lease and fence, the event log and its feed, and the workers that run them."""
