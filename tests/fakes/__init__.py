"""A fake job-server: a small state machine over real HTTP, faithful to the recordings in `tests/fixtures/contract`.

    job_server.py  FakeJobServer, what a test holds in its hands, and a program for demonstrations
    eras.py        what three generations of the job-server do differently, as a table
    store.py       backends, job requests and jobs; what a POST does to them; which requests are listed
    validation.py  whether a posted job is accepted
    answers.py     a request of the polling API becomes an answer
    faults.py      what may go wrong on the way
    spoiled.py     what may be wrong inside of an answer
    rap_client.py  the calling side: the newest job-server and a runner's RAP API
    journal.py     what a runner sent, and what a good one never sends
    messages.py    requests and answers as values
    transport.py   sockets and threads

Not modelled: e-mails to users, other endpoints of API v2, HEAD and OPTIONS, sessions and CSRF, form-encoded and
chunked bodies, the real pages, the permissions of users, the order of equally old requests (here: as they were
added), and what a real database would refuse by length. 500s and redirects are those of servers with DEBUG off.
"""
