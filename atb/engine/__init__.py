"""From columns to orders: the decision kernel, its parameters, its inputs and its state."""
