//! Good histories are called good, and each kind of mutant is caught for what it is.

use clockjack_checker::{Class, Tolerance, Violation, check};

use crate::{
    mutations::ALL,
    reference::good,
    scene::{Dice, Story, TOLERANCE},
};

/// How many good histories are made.
const N_GOOD: u64 = 500;

/// How many mutants of each kind are made.
const N_MUTANTS: usize = 100;

/// How many histories that are called bad are shown.
const N_SHOWN: usize = 5;

/// Set this to a seed, and the tests look at that one alone.
const ONLY: Option<u64> = None;

/// Changes a story in one way; says whether it found a place to do so.
pub(crate) type Mutate = fn(&mut Story, &mut Dice) -> bool;

pub(crate) fn judge(story: &Story) -> Vec<Violation> {
    check(&story.facts, &story.revisions, &story.witness, &story.history, &TOLERANCE)
}

fn pictures(story: &Story, violations: &[Violation]) -> String {
    let picture = |v: &Violation| v.picture(&story.facts, &story.revisions, &story.witness, &story.history);
    violations.iter().take(1).map(picture).collect()
}

fn seeds() -> Vec<u64> {
    ONLY.map_or_else(|| (0..N_GOOD).collect(), |seed| vec![seed])
}

#[test]
fn good_histories_are_good() {
    let (mut n_runs, mut n_bad) = (0, 0);
    let mut faults = String::new();
    for seed in seeds() {
        let story = good(seed);
        n_runs += story.history.runs.len();
        let violations = judge(&story);
        if !violations.is_empty() {
            n_bad += 1;
            if n_bad <= N_SHOWN {
                faults.push_str(&format!(
                    "seed {seed}: {} violations\n{}\n",
                    violations.len(),
                    pictures(&story, &violations)
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{n_bad} histories are called bad\n{faults}");
    assert!(ONLY.is_some() || 50_000 < n_runs, "{n_runs} runs are few");
}

#[test]
fn every_mutant_is_caught() {
    let stories: Vec<_> = seeds().into_iter().map(|seed| (seed, good(seed))).collect();
    let mut faults = String::new();
    for (name, expected, mutate) in ALL {
        let (mut n_made, mut n_caught) = (0, 0);
        for (seed, story) in &stories {
            let mut mutant = story.clone();
            if n_made == N_MUTANTS || !mutate(&mut mutant, &mut Dice::new(*seed)) {
                continue;
            }
            n_made += 1;
            let found: Vec<Class> = judge(&mutant).iter().map(|violation| violation.class).collect();
            if found.iter().any(|class| expected.contains(class)) {
                n_caught += 1;
            } else if n_made - n_caught < 3 {
                faults.push_str(&format!("{name}, seed {seed}: found {found:?}, expected {expected:?}\n"));
            }
        }
        let is_enough = ONLY.is_some() || n_made == N_MUTANTS;
        if n_caught != n_made || !is_enough {
            faults.push_str(&format!("{name}: {n_caught} of {n_made} caught\n"));
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// Real guests and real harnesses have clocks of their own and take their time.
#[test]
fn noise_within_the_tolerance_is_no_violation() {
    let tolerance = Tolerance { latency: TOLERANCE.latency + 20_000, clock: 10_000, ..TOLERANCE };
    let mut faults = String::new();
    let mut n_bad = 0;
    for seed in seeds() {
        let mut story = good(seed);
        let mut dice = Dice::new(seed);
        for line in &mut story.witness {
            line.start += dice.below(10_000) - 5_000;
            line.end = line.end.map(|end| (end + dice.below(10_000) - 5_000).max(line.start));
        }
        let noise: Vec<_> = story.facts.up.iter().map(|_| dice.below(10_000) - 5_000).collect();
        for (up, noise) in story.facts.up.iter_mut().zip(noise).filter(|(up, _)| up.span.until < story.facts.until) {
            up.span.until += noise;
        }
        let violations = check(&story.facts, &story.revisions, &story.witness, &story.history, &tolerance);
        if !violations.is_empty() {
            n_bad += 1;
            if n_bad <= N_SHOWN {
                faults.push_str(&format!("seed {seed}: {}\n{}\n", violations.len(), pictures(&story, &violations)));
            }
        }
    }
    assert!(faults.is_empty(), "{n_bad} histories are called bad\n{faults}");
}
