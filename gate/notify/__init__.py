"""Telling people what happened: messages to addresses that a notify file names, once a cause for each owner."""
