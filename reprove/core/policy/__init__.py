"""Policy version 1: files, rules, opinions and verdicts (DESIGN section 6, INTERFACE section 4)."""

from reprove.core.policy.evaluation import Evaluation, Question, evaluate
from reprove.core.policy.model import Bindings, Policy, Rule, parse_bindings, parse_policy, valid_name
from reprove.core.policy.opinions import Opinion

__all__ = ["Bindings", "Evaluation", "Opinion", "Policy", "Question", "Rule", "evaluate", "parse_bindings", "parse_policy", "valid_name"]
