"""What is known of an image, and what the rules say of it: the language that builder and gate share."""
