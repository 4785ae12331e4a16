"""A fake job-server: a small state machine over real HTTP, faithful to the recordings in `tests/fixtures/contract`.

For tests:

    server.py        FakeJobServer, what a test holds in its hands
    faults.py        what may go wrong on the way
    spoiled.py       what may be wrong inside of an answer
    journal.py       what a runner sent, and what a good one never sends
    rap_client.py    the calling side: today's job-server and a runner's RAP API
    certificates.py  a certificate for TLS

Inside:

    eras.py          what three generations of the job-server do differently, as a table
    store.py         backends, job requests and jobs; what a POST does to them; which requests are listed
    validation.py    whether a posted job is accepted
    answers.py       a request of the polling API becomes an answer
    messages.py      requests and answers as values
    transport.py     sockets and threads

For people: `job_server.py`, a program (`python -m tests.fakes.job_server`), and `page.py`, its page. The tests of all
this lie here as well; `talking.py` and `scripted_runner.py` are only theirs.

Not modelled: e-mails to users, other endpoints of API v2, HEAD and OPTIONS, sessions and CSRF, form-encoded and chunked
bodies, the real pages, the permissions of users, the order of equally old requests (here: as they were added), what a
real database would refuse by length, and that two POSTs at the same time may disturb each other. 500s and redirects are
those of servers with DEBUG off.
"""
