"""What strangers tried, and what it got them."""
