"""The data set that is published."""
