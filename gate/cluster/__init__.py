"""What a Kubernetes cluster asks before it runs something: which images are admitted for a namespace's stage."""
