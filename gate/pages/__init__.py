"""The pages that people read in a browser. They show what the JSON API answers with, and change nothing."""
