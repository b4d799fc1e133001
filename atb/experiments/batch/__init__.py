"""Batches: one notebook with many sets of parameters, by worker processes of this machine or on a Dask cluster."""
