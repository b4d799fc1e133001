"""Causal columns over closed bars: indicators and the feature sets that models read, each declaring its warm-up."""
