"""``littoral placement quality``: what audits say of each policy, tag by tag."""

from littoral.app.command.encoding import plain
from littoral.app.command.figures import count, money
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.audit import QualityView, TagView
from littoral.placement.quality import YOUNG

HEAD = ("TAG", "OF REQUESTS", "AUDITS", "LOSS", "ERROR", "SERVED BY")


def quality(*, reach: Reach = HERE) -> None:
    """Show how much worse the cheaper answers of each policy are, by tag, and what follows.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        found = control.quality()
    shown.json({"policies": plain(found)})
    if not found:
        shown.note("quality.none")
    for at, each in enumerate(found):
        if at:
            shown.line()
        for line in told(each):
            shown.line(line)
        if each.tags:
            rows = [_row(each, tag) for tag in each.tags]
            shown.rows(HEAD, rows, right=tuple(range(1, 5)))


def told(each: QualityView) -> list[str]:
    """A policy in lines."""
    held = "-" if each.error is None else f"{each.loss:+.4f} ± {each.error:.4f}"
    ruled = "audits" if each.decided else f"ratings, until there are {YOUNG} audits"
    cheap, dear = each.shares
    return [
        f"policy      {each.policy}: {each.candidate} against {each.reference}, judge {each.judge}",
        f"loss        {held} a request over the last audits, of {each.budget:g} accepted",
        f"guard       plans with {each.slack:.0%} of that; decided by {ruled}",
        f"audits      {count(each.audits)} in all, {money(each.spent)}",
        f"            now {cheap:.0%} of what {each.candidate} serves, {dear:.0%} of the other's",
    ]


def _row(policy: QualityView, each: TagView) -> tuple[str, ...]:
    served = policy.candidate if each.allowed else policy.reference
    if each.off or not policy.decided:
        served = "by ratings"
    return (
        each.tag,
        f"{each.share:.1%}",
        f"{each.audits:.0f}",
        f"{each.loss:+.3f}",
        f"{each.error:.3f}",
        served,
    )
