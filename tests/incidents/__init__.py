"""Small incidents for the tests, a few seconds of traffic each, declared and found as any incident is:

    FLASHCROWD_LOADTESTS=tests/incidents flashcrowd run small-burst --scale 0.02

small_burst    an incident that reproduces and whose fix holds: two locks in the order they were drawn, or always in the same
one_statement  open loop, one statement a request: how it is generated and timed is all that matters
full_house     an application whose pool is larger than the server
served         a service between crowd and database, which crashes by its memory limit until it is fixed
regulars       closed loop, psycopg, a connection for each user
"""
