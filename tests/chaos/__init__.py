"""Jobs that do nothing but live dangerously, and the processes that are killed under them."""
