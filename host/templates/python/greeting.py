"""What needs no host stands in files of its own, which `python3 -m unittest` can run."""


def greeting(name):
    return f"hello {name}"
