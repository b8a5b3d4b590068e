"""Write the texts of the published data set."""
