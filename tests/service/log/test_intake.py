"""The queue: order, whole submissions, bounds, giving up, and lingering only when it pays."""

from __future__ import annotations

import threading
import time

import pytest

from reprove.core.errors import Problem, ProblemError, Slug
from service.log.admission import Admitted
from service.log.intake import Intake, Submission


def submission(count: int) -> Submission:
    return Submission([Admitted(bytes([n]) * 32, b"") for n in range(count)])


def intake(**values: float) -> Intake:
    return Intake(**({"batch": 10, "linger_seconds": 0.0, "capacity": 20} | values))  # type: ignore[arg-type]  # a table


def test_batches_hold_whole_submissions_in_order() -> None:
    queue = intake()
    some = [submission(4), submission(4), submission(4), submission(1)]
    for one in some:
        queue.put(one)
    assert queue.take(0) == some[:2]
    assert queue.take(0) == some[2:]
    assert queue.take(0) == []


def test_a_submission_larger_than_a_batch_goes_alone() -> None:
    queue = intake(batch=2)
    some = [submission(5), submission(1)]
    for one in some:
        queue.put(one)
    assert queue.take(0) == some[:1]


def test_what_waits_is_bounded() -> None:
    queue = intake()
    queue.put(submission(19))
    with pytest.raises(ProblemError) as caught:
        queue.put(submission(2))
    assert caught.value.problem.slug is Slug.RATE_LIMITED
    queue.put(submission(1))


def test_only_a_waiting_submission_can_be_given_up() -> None:
    queue = intake()
    one, two = submission(1), submission(1)
    queue.put(one)
    queue.put(two)
    assert queue.give_up(two)
    assert not queue.give_up(two)
    assert queue.take(0) == [one]
    assert not queue.give_up(one)


def test_a_closed_queue_hands_out_what_waits_and_takes_no_more() -> None:
    queue = intake()
    one = submission(1)
    queue.put(one)
    queue.close()
    assert not queue.drained
    with pytest.raises(ProblemError) as caught:
        queue.put(submission(1))
    assert caught.value.problem.slug is Slug.UNAVAILABLE
    assert queue.take(0) == [one]
    assert queue.drained


def test_the_first_answer_stands() -> None:
    one = submission(1)
    problem, other = Problem(Slug.UNAVAILABLE, "a"), Problem(Slug.UNAVAILABLE, "b")
    queue = intake()
    queue.put(one)
    queue.refuse_all(problem)
    one.resolve(other)
    assert one.wait(0)
    assert one.answer is problem


def test_an_idle_queue_does_not_linger_and_a_busy_one_does() -> None:
    queue = intake(linger_seconds=0.2)
    time.sleep(0.41)
    queue.put(submission(1))
    began = time.monotonic()
    assert len(queue.take(1)) == 1
    assert time.monotonic() - began < 0.15
    queue.batch_ended()
    queue.put(submission(1))
    threading.Timer(0.05, queue.put, [submission(1)]).start()
    assert len(queue.take(1)) == 2
    queue.batch_ended()
    for count in (9, 1):
        queue.put(submission(count))
    began = time.monotonic()
    assert len(queue.take(1)) == 2
    assert time.monotonic() - began < 0.15
