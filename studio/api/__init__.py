"""What all endpoints share: who asks, errors, pagination, the schema; and the endpoints of jobs, sessions and keys."""
