"""Every error a client may see, in one tree.

LittoralError
├── InvalidInput            400 invalid_request
│   ├── UnsupportedMedia    415 unsupported_media
│   ├── TooLarge            413 too_large
│   └── NoCandidate         422 no_candidate
├── Unauthenticated         401 invalid_api_key
│   ├── WrongToken          401 token_wrong
│   └── PolicyExpired       401 policy_expired
├── Denied                  403 denied
│   ├── WrongAuthority      403 join_wrong_ca
│   └── NotOurs             403 node_refused
│       └── Revoked         403 node_revoked
├── UnknownName             404 not_found
│   └── UnknownModel        404 model_not_found
├── Conflict                409 conflict
│   ├── Busy                409 busy
│   ├── TokenUsed           409 token_used
│   └── NewerData           409 newer_data
├── LimitReached            429 rate_limited
│   └── BudgetExhausted     429 budget_exhausted
├── UpstreamFailed          502 upstream
├── Unavailable             503 unavailable
│   ├── Loading             503 loading
│   ├── Overloaded          503 overloaded
│   └── ControlUnreachable  503 control_unreachable
├── DeadlinePassed          504 deadline
├── StorageFull             507 storage_full
│   └── LedgerFull          503 ledger_full
└── Damaged                 500 damaged
"""

from typing import ClassVar


class LittoralError(Exception):
    """Root: a message written for the client, a public code and an HTTP status.

    Args:
        message: One or two sentences that say what is wrong and what is allowed.
        param: The field that is wrong, as a path (``"spec.slots"``), where one is.
        retry_after_s: When trying again may help, in seconds from now.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidInput(LittoralError):
    """The request is malformed or a value is outside its range."""

    code = "invalid_request"
    status = 400


class UnsupportedMedia(InvalidInput):
    """The body's media type or encoding is not served here."""

    code = "unsupported_media"
    status = 415


class TooLarge(InvalidInput):
    """The body, a field or a file is over its limit."""

    code = "too_large"
    status = 413


class NoCandidate(InvalidInput):
    """No place may ever serve this request (capability, context, policy): waiting cannot help."""

    code = "no_candidate"
    status = 422


class Unauthenticated(LittoralError):
    """No key, or one that is wrong, revoked or expired."""

    code = "invalid_api_key"
    status = 401


class WrongToken(Unauthenticated):
    """The join token is not known here, or has expired."""

    code = "token_wrong"


class PolicyExpired(Unauthenticated):
    """This node has not heard of control for so long that only keys that survive still hold."""

    code = "policy_expired"


class Denied(LittoralError):
    """The key is good but may not do this."""

    code = "denied"
    status = 403


class WrongAuthority(Denied):
    """Who answers is not the cluster that the join token names: nothing secret was sent."""

    code = "join_wrong_ca"


class NotOurs(Denied):
    """This node or its certificate is revoked, replaced, unknown, or too long out of date."""

    code = "node_refused"


class Revoked(NotOurs):
    """This node was revoked, or another took its place: it is one no longer."""

    code = "node_revoked"


class UnknownName(LittoralError):
    """Nothing of this name exists, or not for this key."""

    code = "not_found"
    status = 404


class UnknownModel(UnknownName):
    """No model of this name is served for this key."""

    code = "model_not_found"


class Conflict(LittoralError):
    """The change does not fit the present state (a stale version, a name in use)."""

    code = "conflict"
    status = 409


class Busy(Conflict):
    """Another instance holds what this one needs (the data directory, the port)."""

    code = "busy"


class TokenUsed(Conflict):
    """The join token has made another machine a node: each is good once."""

    code = "token_used"


class NewerData(Conflict):
    """The data was written by a newer version of Littoral."""

    code = "newer_data"


class LimitReached(LittoralError):
    """The caller's own limit: requests or tokens a minute, requests at one time."""

    code = "rate_limited"
    status = 429
    retryable = True


class BudgetExhausted(LimitReached):
    """What the budget leaves does not cover the most that this request may cost."""

    code = "budget_exhausted"
    retryable = False


class UpstreamFailed(LittoralError):
    """The engine or upstream failed before its first byte, after our own retries."""

    code = "upstream"
    status = 502
    retryable = True


class Unavailable(LittoralError):
    """Not now: our own state, not the caller's fault."""

    code = "unavailable"
    status = 503
    retryable = True


class Loading(Unavailable):
    """The model is being fetched or loaded."""

    code = "loading"


class Overloaded(Unavailable):
    """Every slot is taken and the queue is full."""

    code = "overloaded"


class ControlUnreachable(Unavailable):
    """The control plane does not answer; inference goes on without it."""

    code = "control_unreachable"


class DeadlinePassed(LittoralError):
    """The request's deadline passed before its first byte."""

    code = "deadline"
    status = 504


class StorageFull(LittoralError):
    """The disk is too full, or read-only, to accept durable work."""

    code = "storage_full"
    status = 507


class LedgerFull(StorageFull):
    """The node holds all the unsent usage records that it may: what must be counted has to wait."""

    code = "ledger_full"
    status = 503
    retryable = True


class Damaged(LittoralError):
    """Stored bytes fail their check: refused, never served."""

    code = "damaged"
