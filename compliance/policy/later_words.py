"""What is said of `later:` to people: what a rule gives images that break it later, and what changed in that."""

from __future__ import annotations

from collections.abc import Iterator

from compliance.policy.later import DEFAULT_DAYS
from compliance.policy.model import Later, Policy, Rule
from compliance.policy.strictness import Tone
from compliance.policy.wording import count


def later_words(policy: Policy, rule: Rule) -> str:
    """For how long what was admitted may be pulled when it breaks the rule."""
    if not rule.later.counts:
        return "only warns of what was admitted before"
    own = rule.later.pullable_days
    said = None if policy.later is None else policy.later.pullable_days
    if own is not None:
        return f"pullable for {count(own, 'day')} when it breaks the rule later"
    days = f"{count(DEFAULT_DAYS if said is None else said, 'day')}"
    return f"pullable for {days} when it breaks the rule later, or fewer where another policy for it says so"


def later_changes(old: Policy, new: Policy) -> Iterator[tuple[Tone, str]]:
    """What changed in a policy's own `later:`."""
    before, after = old.later or Later(), new.later or Later()
    if before.pullable_days != after.pullable_days:
        text = f"what no longer complies may be pulled for {_days(after)}, was {_days(before)}"
        yield _tone(before.pullable_days, after.pullable_days), text
    gone = [one for one in before.at_once if one not in after.at_once]
    added = [one for one in after.at_once if one not in before.at_once]
    if gone:
        yield Tone.LOOSER, f"{', '.join(gone)} no longer ends pulls at once"
    if added:
        yield Tone.STRICTER, f"{', '.join(added)} ends pulls at once"


def rule_later_changes(old: Rule, new: Rule) -> Iterator[tuple[Tone, str]]:
    """What changed in a rule's own `later:`."""
    if old.later.counts != new.later.counts:
        yield (
            (Tone.STRICTER, "counts for what was admitted before, too")
            if new.later.counts
            else (Tone.LOOSER, "only warns now of what was admitted before")
        )
    before, after = old.later.pullable_days, new.later.pullable_days
    if before != after:
        now = "as its policy says" if after is None else count(after, "day")
        was = "as its policy says" if before is None else str(before)
        tone = Tone.CHANGED if before is None or after is None else _tone(before, after)
        yield tone, f"what breaks it later may be pulled for {now}, was {was}"


def _days(later: Later) -> str:
    return (
        f"{DEFAULT_DAYS} days (nothing said)" if later.pullable_days is None else count(later.pullable_days, "day")
    )


def _tone(old: int | None, new: int | None) -> Tone:
    before, after = (DEFAULT_DAYS if one is None else one for one in (old, new))
    return Tone.STRICTER if after < before else Tone.LOOSER if after > before else Tone.CHANGED
