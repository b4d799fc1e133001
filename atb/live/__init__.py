"""The runner: closed bars in, the kernel decides, a broker fills, every step is journalled. No decision is made here."""
