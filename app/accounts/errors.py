"""What an account refuses.

EmailTaken          Conflict
SignupClosed        Forbidden
WrongPassword       Forbidden
BadCredentials      Unauthenticated
BadToken            Unauthenticated
BadOrigin           Forbidden
TooManySignIns      TooMany
"""

from app.errors import Conflict, Forbidden, TooMany, Unauthenticated


class EmailTaken(Conflict):
    """There is an account with that e-mail address already."""

    code = "EMAIL_TAKEN"


class SignupClosed(Forbidden):
    """New accounts are not taken here."""

    code = "SIGNUP_CLOSED"


class WrongPassword(Forbidden):
    """The current password is not that."""

    code = "WRONG_PASSWORD"


class BadCredentials(Unauthenticated):
    """No account has that e-mail address and password."""

    code = "BAD_CREDENTIALS"


class BadToken(Unauthenticated):
    """The token is not valid, or not any more; sign in again."""

    code = "BAD_TOKEN"


class BadOrigin(Forbidden):
    """A session's cookie may only be used from the service's own pages; programs send a token instead."""

    code = "BAD_ORIGIN"


class TooManySignIns(TooMany):
    """Too many failed sign-ins; wait a little."""

    code = "TOO_MANY_SIGN_INS"
