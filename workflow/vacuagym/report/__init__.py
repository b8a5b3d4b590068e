"""The report of a run: figures from counts of bounded size, and the page that holds them."""
