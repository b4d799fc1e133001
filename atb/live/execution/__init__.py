"""From the kernel's orders to the venue's executions: what a desk is made of."""
