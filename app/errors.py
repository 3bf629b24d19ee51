"""The kinds of refusal the service knows. A domain declares its errors as children of these; `app.api.error_responses`
gives each kind its HTTP status, so a new error is done when its kind is picked.

    ServiceError
    ├── NotFound          404   not there, or not the asker's
    ├── Conflict          409   not in this state
    ├── Gone              410   was there, has expired
    ├── Invalid           422   the request says something it can't mean
    ├── Unauthenticated   401   who are you?
    ├── Forbidden         403   known, and not allowed
    ├── TooLarge          413   more bytes than are taken
    ├── Locked            423   somebody else is at it
    ├── TooMany           429   later, perhaps
    ├── Mangled           460   arrived otherwise than it was sent (a status of tus)
    ├── QuotaExceeded     507   no room left for this user or on this machine
    └── Unavailable       503   a part of the service is away; try again
"""

from typing import ClassVar


class ServiceError(Exception):
    """Something the asker is told: `code` is stable, the docstring is the sentence unless one is given."""

    code: ClassVar[str]

    def __init__(self, message: str | None = None, *, retry_after_seconds: int | None = None) -> None:
        self.message = message or " ".join((self.__doc__ or "").split())
        self.retry_after_seconds = retry_after_seconds
        super().__init__(self.message)


class NotFound(ServiceError):
    """There is nothing here, or it is not yours."""

    code = "NOT_FOUND"


class Conflict(ServiceError):
    """That does not fit the present state."""

    code = "CONFLICT"


class Gone(ServiceError):
    """That was here and has expired."""

    code = "GONE"


class Invalid(ServiceError):
    """The request can't mean what it says."""

    code = "INVALID"


class Unauthenticated(ServiceError):
    """Sign in first: send a valid token as `Authorization: Bearer`."""

    code = "UNAUTHENTICATED"


class Forbidden(ServiceError):
    """That is not allowed."""

    code = "FORBIDDEN"


class TooLarge(ServiceError):
    """That is larger than is taken here."""

    code = "TOO_LARGE"


class Locked(ServiceError):
    """Another request is at it; try again in a few seconds."""

    code = "LOCKED"


class Mangled(ServiceError):
    """That arrived otherwise than it was sent; send it again."""

    code = "MANGLED"


class TooMany(ServiceError):
    """Too many requests; wait a little."""

    code = "TOO_MANY"


class QuotaExceeded(ServiceError):
    """There is no room left."""

    code = "QUOTA_EXCEEDED"


class Unavailable(ServiceError):
    """A part of the service is away; try again in a moment."""

    code = "UNAVAILABLE"
