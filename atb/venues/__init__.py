"""Venues: brokers behind one port; paper fills by the kernel's own rules."""
