"""Where bars come from: for now, the parts that read a stranger's files."""
