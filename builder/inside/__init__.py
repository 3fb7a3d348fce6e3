"""What must run inside an image: bytecode, a spec's steps, and the builds of source distributions.

All of it runs in a sandbox made by buildah, and what comes out becomes a layer or a wheel like any other.
"""
