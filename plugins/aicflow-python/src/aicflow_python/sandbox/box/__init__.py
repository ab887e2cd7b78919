"""What runs on the other side of the wall: the zygote, the sealed children and the workers.

Everything here imports the standard library only, because it is loaded under `python -I -S` as the package `box`.
It must not know the host's side.
"""
