//! Many slots are judged in little time.

use clockjack_checker::{
    Attempt, Cause, Ending, Facts, History, Micros, Overlap, Revision, Run, SECOND, Said, Span, Tolerance, Up, Witness,
    check, slots,
};

const N_SLOTS: Micros = 100_000;

/// A queue that is never empty, so that no rule finds an easy answer: each run takes as long as its slots are apart.
#[test]
fn a_hundred_thousand_slots_are_judged() {
    let end = (N_SLOTS + 1) * SECOND;
    let mut revision = Revision::new("a", slots::every(SECOND, 1, 0, end));
    revision.overlap = Overlap::Queue;
    let span = Span::new(0, end);
    let facts = Facts { until: end, up: vec![Up { span, ending: Ending::StillUp }], ..Facts::default() };
    let (mut history, mut witness) = (History::default(), Vec::new());
    for slot in &revision.slots {
        let (id, start, stop) = (format!("{slot}"), slot + 1_000, slot + SECOND);
        let outcome = "succeeded".to_owned();
        history.runs.push(Run {
            id: id.clone(),
            job: "a".to_owned(),
            slot: *slot,
            cause: Cause::Schedule,
            outcome: Some(outcome.clone()),
            n_attempts: 1,
            started: Some(start),
            finished: Some(stop),
            attempts: vec![Attempt { number: 1, outcome, started: Some(start), finished: stop }],
        });
        let (job, said) = ("a".to_owned(), Said::Succeeded);
        witness.push(Witness {
            run: id,
            job,
            slot: *slot,
            attempt: 1,
            host: 0,
            start,
            end: Some(stop),
            said,
            cause: None,
        });
    }
    assert_eq!(i64::try_from(history.runs.len()), Ok(N_SLOTS));
    let tolerance = Tolerance { latency: 100_000, recovery: SECOND, clock: 0 };
    assert_eq!(check(&facts, &[revision], &witness, &history, &tolerance), []);
}
