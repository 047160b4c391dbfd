"""The exclusion list, the page of one exclusion, and the exclusion form."""
