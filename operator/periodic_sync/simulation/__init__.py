"""What a policy would do, before it is deployed: its scheduling played in virtual time."""
