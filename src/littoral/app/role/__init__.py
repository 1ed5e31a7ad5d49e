"""The processes, one file each: opens what its role needs, names concrete classes, and runs it."""
