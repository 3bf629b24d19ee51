"""What a request asks for, as a plan."""

import json
from collections.abc import Mapping
from typing import Any

from app.accounts.models import User
from app.errors import Invalid
from fotograma.errors import PlanError
from fotograma.plan import Every, Plan
from fotograma.seconds import parse_seconds

INTERVAL_MAX_CHARACTERS = 40


class BadPlan(Invalid):
    """The plan can't mean what it says."""

    code = "BAD_PLAN"


def plan_of_json(values: Mapping[str, Any]) -> Plan:
    """The plan that a JSON object says."""
    try:
        return Plan.from_json(values)
    except PlanError as error:
        raise BadPlan(error.sentence) from error


def plan_of_form(fields: Mapping[str, str], *, user: User) -> Plan | None:
    """The plan that a form asks for: `interval` or `plan`, the user's own without either; None: `extract=false`."""
    asked = fields.keys() & {"interval", "plan"}
    if len(asked) == 2:
        raise BadPlan("Give `interval` or `plan`, not both.")
    extract = fields.get("extract", "true")
    if extract not in {"true", "false"}:
        raise BadPlan("`extract` must be true or false.")
    if extract == "false":
        if asked:
            raise BadPlan(f"Give `{asked.pop()}` or `extract=false`, not both.")
        return None
    if "plan" in fields:
        try:
            values = json.loads(fields["plan"])
        except (ValueError, RecursionError):
            raise BadPlan("`plan` must be JSON.") from None
        return plan_of_json(values)
    return _plan_of_interval(fields["interval"]) if "interval" in fields else default_plan(user)


def default_plan(user: User) -> Plan:
    """What the user wants where a request says nothing of frames: one frame a second, unless another was chosen."""
    return plan_of_json({"mode": "every", "seconds": 1} if user.default_plan is None else user.default_plan)


def _plan_of_interval(text: str) -> Plan:
    # Python refuses to read a number of thousands of digits with an error of its own.
    if len(text) > INTERVAL_MAX_CHARACTERS:
        raise BadPlan("`interval` must be a number of seconds.")
    try:
        return Plan(Every(parse_seconds(text)))
    except PlanError as error:
        raise BadPlan(f"`interval`: {error.sentence}.") from error
