"""x."""
from littoral.app.bench.result import Result
from littoral.app.bench.view import Say
def page(found: Result, say: Say) -> str:
    """x."""
    return ""
