"""What can go wrong with a request to the API server, as errors that say what a caller can do about it."""


class ApiError(Exception):
    """A request to the API server failed. The text is the server's sentence, or what happened on the way to it.

    status: the HTTP status, 0 where no answer came. reason: Kubernetes' own word, such as `AlreadyExists`, or "".
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFoundError(ApiError):
    """There is no such object (404)."""


class ConflictError(ApiError):
    """Compare-and-swap lost: somebody else wrote first (409). Read again, decide again."""


class AlreadyExistsError(ApiError):
    """An object of that name is there already (409)."""


class ExpiredError(ApiError):
    """That resource version is too old to list or watch from (410): list afresh."""


class InvalidError(ApiError):
    """The server refuses the object as it is (400, 422): the same again won't help."""


class TooLargeError(ApiError):
    """The object or the request is larger than the server or etcd takes."""


class ForbiddenError(ApiError):
    """Not allowed (401, 403): RBAC, a quota or an admission rule says no."""


class UnavailableError(ApiError):
    """No answer to rely on: 5xx, 429, a time-out, a broken connection. A write may have happened all the same."""
