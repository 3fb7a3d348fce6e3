"""What uploaded policies would do: judged again in a process of its own, and told to whoever uploaded them."""
