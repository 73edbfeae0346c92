"""The routes of the policy: what binds lists, a person's own rules, and the audit of a decision."""

import asyncio
import json
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from recsys.errors import CapabilityError, DataError
from recsys.events.checks import check_id, check_text, check_visible
from recsys.policy.ledger import entry, keyed_hash
from recsys.policy.schema import Rule
from recsys.serving.answers import Answers, UnknownError
from recsys.serving.http import schemas
from recsys.serving.http.requests import allowing, allowing_user
from recsys.serving.http.routes import norm_schemas
from recsys.serving.lists.summary import SUMMARY
from recsys.serving.norms.audits import replay
from recsys.serving.norms.norms import CONSENTS, KEY, PERSON, RULES, Norms
from recsys.serving.norms.words import options_of, parameters_of
from recsys.serving.service import Service

_USER = "/v1/users/{user_id:path}"
_LONGEST = 50_000
"""Characters of a person's own rules."""


def norms(service: Service) -> APIRouter:
    """Return the routes of the policy."""
    router = APIRouter(tags=["policy"])

    @router.get("/v1/policy", dependencies=[Depends(allowing("read"))])
    def policy() -> norm_schemas.PolicyOut:
        """Tell in words what decides lists, the most important first, and what a person can change."""
        answers = service.answers
        bound = None if answers.norms is None else answers.norms.policy
        return norm_schemas.PolicyOut(
            name=bound and bound.name,
            version=bound and bound.version,
            valid_from=bound and bound.valid_from,
            valid_until=bound and bound.valid_until,
            parameters=parameters_of(bound),
            layers=[] if bound is None else norm_schemas.layers_out(bound),
            options=[norm_schemas.OptionOut(option=option, says=says) for option, says in options_of(bound)],
        )

    @router.get(_USER + "/policy", dependencies=[Depends(allowing_user("read"))])
    def own(user_id: schemas.Id) -> norm_schemas.OwnPolicyOut:
        """Return a person's own rules, and what is known of the person for the conditions of the policy."""
        return _own(service, _norms(service.answers), user_id)

    @router.put(_USER + "/policy", dependencies=[Depends(allowing_user("write"))])
    async def put(user_id: schemas.Id, body: norm_schemas.OwnPolicyIn) -> norm_schemas.OwnPolicyOut:
        """Set a person's own rules. They may narrow what the layers above allow, and never widen it."""
        norms = _norms(service.answers)
        text = json.dumps(body.rules)
        if len(text) > _LONGEST:
            raise DataError(f"the rules have {len(text)} characters; a person may have {_LONGEST}")
        for consent in body.consents:
            check_text("consents", consent, 100)
            check_visible("consents", consent)
        _check_rules(await asyncio.to_thread(norms.check_own, text, int(time.time())))
        consents = json.dumps(sorted(set(body.consents))) if body.consents else None
        await asyncio.to_thread(service.store.put_setting, user_id, CONSENTS, consents)
        await asyncio.to_thread(service.store.put_setting, user_id, RULES, text)
        return await asyncio.to_thread(_own, service, norms, user_id)

    @router.delete(_USER + "/policy", dependencies=[Depends(allowing_user("write"))], status_code=204)
    def forget(user_id: schemas.Id) -> Response:
        """Take a person's own rules and consents back: those of the policy bind again."""
        forget_own(service, user_id)
        return Response(status_code=204)

    @router.put(_USER + "/circumstances", dependencies=[Depends(allowing("admin"))])
    def circumstances(user_id: schemas.Id, body: norm_schemas.CircumstancesIn) -> norm_schemas.OwnPolicyOut:
        """Store what the service knows of a person, for the conditions of the policy."""
        norms = _norms(service.answers)
        check_id("user_id", user_id)
        if body.region is not None:
            check_text("region", body.region, 50)
            check_visible("region", body.region)
        known = {name: value for name, value in (("age", body.age), ("region", body.region)) if value is not None}
        service.store.put_setting(user_id, PERSON, json.dumps(known) if known else None)
        return _own(service, norms, user_id)

    @router.get("/v1/audit/{audit_id}", dependencies=[Depends(allowing("admin"))])
    async def audit(
        audit_id: schemas.Id,
        user_id: Annotated[schemas.Id | None, Query(description="whose line it may be: it is then replayed")] = None,
    ) -> norm_schemas.AuditOut:
        """Return a line of the ledger, whether it is intact, and for a user whether the same list comes again."""
        answers = service.answers if user_id is None else service.answers.of(user_id)
        ledger = _norms(answers).ledger
        if ledger is None:
            raise CapabilityError("this service records nothing; start it with --ledger DIR")
        found = await asyncio.to_thread(entry, ledger.folder, audit_id)
        if found is None:
            raise UnknownError("there is no line with this id in the ledger")
        line, intact = found
        if user_id is None:
            return norm_schemas.AuditOut(line=line, intact=intact, is_users=None, replayed=None, note="")
        check_id("user_id", user_id)
        stored = await asyncio.to_thread(service.store.settings, user_id)
        if KEY not in stored or line["user"] != keyed_hash(stored[KEY], user_id):
            note = "the line is of another user, or of this one before an erasure"
            return norm_schemas.AuditOut(line=line, intact=intact, is_users=False, replayed=None, note=note)
        summary = json.loads(stored[SUMMARY])["text"] if SUMMARY in stored and line.get("text") else None
        own = {
            name: None if said is None else keyed_hash(stored[KEY], said)
            for name, said in (("own", stored.get(RULES)), ("text", summary))
        }
        return await _replayed(service, answers, user_id, line, intact, own)

    return router


def forget_own(service: Service, user_id: str) -> None:
    """Take a person's own rules and consents back."""
    _norms(service.answers)
    for name in (RULES, CONSENTS):
        service.store.put_setting(user_id, name, None)


async def _replayed(
    service: Service, answers: Answers, user_id: str, line: dict[str, Any], intact: bool, own: dict[str, str | None]
) -> norm_schemas.AuditOut:
    norms = _norms(answers)
    other = [
        name
        for name, now, then in (
            ("model", answers.model, line["model"]),
            ("policy", norms.policy.version, line["policy"]),
            ("own rules", own["own"], line["own"]),
            ("own text", own["text"], line.get("text")),
        )
        if now != then
    ]
    note = f"not of today: {', '.join(other)}" if other else ""
    again = None if other else await service.answer(lambda: replay(answers, user_id, line))
    same = None if again is None else again == line["items"]
    if same is False:
        note = "the history or the half-lives have changed since: events came late, were undone, or were learned from"
    return norm_schemas.AuditOut(line=line, intact=intact, is_users=True, replayed=same, note=note)


def _norms(answers: Answers) -> Norms:
    if answers.norms is None:
        raise CapabilityError("this service has no policy; start it with --policy FILE")
    return answers.norms


def _own(service: Service, norms: Norms, user_id: str) -> norm_schemas.OwnPolicyOut:
    stored = service.store.settings(user_id)
    person = json.loads(stored.get(PERSON, "{}"))
    own = stored.get(RULES)
    layer = [rule for name, rule in norms.policy_of(own).rules if name == "individual"]
    return norm_schemas.OwnPolicyOut(
        layer=[norm_schemas.rule_out(rule) for rule in layer],
        rules=None if own is None else json.loads(own),
        consents=json.loads(stored.get(CONSENTS, "[]")),
        age=person.get("age"),
        region=person.get("region"),
    )


def _check_rules(rules: tuple[Rule, ...]) -> None:
    """Raise for a text that people could not see, or not be shown."""
    for rule in rules:
        texts = [("id", rule.id), *([("why", rule.why)] if rule.why else [])]
        for condition in (rule.when, rule.unless):
            if condition is not None:
                texts += [("a condition", text) for text in (*condition.region, *condition.consent, *condition.role)]
        for name, text in texts:
            check_text(name, text, 200)
            check_visible(name, text)
