"""What an account refuses.

EmailTaken          Conflict
SignupClosed        Forbidden
WrongPassword       Forbidden
BadCredentials      Unauthenticated
BadToken            Unauthenticated
BadOrigin           Forbidden
BadMailedToken      Gone
EmailNotConfirmed   Forbidden
AccountDisabled     Forbidden
InvitationNeeded    Forbidden
ScopeMissing        Forbidden
BadErrand           Forbidden
ProviderRefused     Forbidden
EmailNotVerified    Forbidden
ProviderFailed      Unavailable
ProviderUnknown     NotFound
KeyNotFound         NotFound
UserNotFound        NotFound
NotYourself         Conflict
TooManyKeys         Conflict
TooManySignIns      TooMany
TooManyUploads      TooMany
TooManyRequests     TooMany
"""

from app.errors import Conflict, Forbidden, Gone, NotFound, TooMany, Unauthenticated, Unavailable


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


class BadMailedToken(Gone):
    """This link has been used or has expired; ask for another."""

    code = "BAD_MAILED_TOKEN"


class EmailNotConfirmed(Forbidden):
    """Confirm your e-mail address first: a link was mailed to it, and another can be asked for."""

    code = "EMAIL_NOT_CONFIRMED"


class AccountDisabled(Forbidden):
    """This account has been disabled; ask whoever runs this service."""

    code = "ACCOUNT_DISABLED"


class InvitationNeeded(Forbidden):
    """An account is made here by invitation only, with the address that was invited."""

    code = "INVITATION_NEEDED"


class ScopeMissing(Forbidden):
    """The API key may not do this."""

    code = "SCOPE_MISSING"


class BadErrand(Forbidden):
    """The sign-in was not begun in this browser, or too long ago; begin again."""

    code = "SIGN_IN_STALE"


class ProviderRefused(Forbidden):
    """The provider has not let you in, or you have not let it tell who you are."""

    code = "PROVIDER_REFUSED"


class EmailNotVerified(Forbidden):
    """The provider does not vouch for your e-mail address; confirm it there first."""

    code = "PROVIDER_EMAIL_UNVERIFIED"


class ProviderFailed(Unavailable):
    """The provider does not answer, or not as it should; try again, or sign in by password."""

    code = "PROVIDER_FAILED"


class ProviderUnknown(NotFound):
    """There is no such provider here."""

    code = "PROVIDER_UNKNOWN"


class KeyNotFound(NotFound):
    """There is no such API key, or it is not yours."""

    code = "KEY_NOT_FOUND"


class UserNotFound(NotFound):
    """There is no such account."""

    code = "USER_NOT_FOUND"


class NotYourself(Conflict):
    """Nobody can take this from themselves; another admin can."""

    code = "NOT_YOURSELF"


class TooManyKeys(Conflict):
    """You have as many API keys as are allowed; revoke one first."""

    code = "TOO_MANY_KEYS"


class TooManySignIns(TooMany):
    """Too many failed sign-ins; wait a little."""

    code = "TOO_MANY_SIGN_INS"


class TooManyRequests(TooMany):
    """You have asked too often in this minute; go on when it is over."""

    code = "TOO_MANY_REQUESTS"


class TooManyUploads(TooMany):
    """You have begun as many uploads today as are allowed; go on tomorrow, by UTC."""

    code = "TOO_MANY_UPLOADS"
