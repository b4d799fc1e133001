"""Access: users, passwords, logins, and the gate before every route."""
