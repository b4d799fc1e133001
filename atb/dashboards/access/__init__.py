"""Access: users, passwords and logins."""
