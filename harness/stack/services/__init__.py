"""Services, processes of the application itself; the same for every provider that starts processes.

service.py    where instances are, what is in their environment, what befell them
instance.py   one instance, with its supervisor; instances.py: all of a stack's
readiness.py  whether one is ready
"""
