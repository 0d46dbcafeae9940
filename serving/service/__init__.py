"""The web service over an index: an HTTP interface and a page."""
