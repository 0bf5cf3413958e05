"""Real servers in containers of a Docker engine.

images.py     which images the servers run from; makes those that need no registry
recipes.py    what goes into the images that are made here
rootfs.py     the minimal system below them, collected from this machine's programs
"""
