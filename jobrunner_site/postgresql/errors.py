"""What PostgreSQL's errors mean to our code, which knows OperationalError as "the database does not take this now".

psycopg calls by another name (InternalError) what a server says that has become a standby or whose administrator has
made it read-only, that has given up an idle transaction of ours, or that has found a fault of its own. Taken for bugs
of ours they would end jobs; nothing is wrong with those, and the same statement succeeds later.
"""

from django.db.utils import DatabaseErrorWrapper, OperationalError
from psycopg import InternalError

# SQLSTATE (PostgreSQL's manual, appendix A): read_only_sql_transaction, idle_in_transaction_session_timeout,
# transaction_timeout; all that begin with XX are faults of the server.
_NOT_NOW = ("25006", "25P03", "25P04")
_FAULT_OF_SERVER = "XX"


def is_not_now(error: InternalError) -> bool:
    state = error.sqlstate or ""
    return state in _NOT_NOW or state.startswith(_FAULT_OF_SERVER)


class ErrorWrapper(DatabaseErrorWrapper):
    """Django's, but what the server does not take now is an OperationalError, and the connection is looked at anew."""

    def __exit__(self, exc_type, exc_value, traceback) -> None:
        if isinstance(exc_value, InternalError) and is_not_now(exc_value):
            self.wrapper.errors_occurred = True
            raise OperationalError(*exc_value.args).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)
