"""Who may see and do what: users, passwords, logins, and the gate before every route."""
