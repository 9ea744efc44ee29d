//! What happens to a simulated host, and when: one fault in each equal part of the time, and requests in between.

use clockjack_checker::{Micros, Resume, SECOND};

use crate::{chance::Chance, jobs::SimJob};

/// Something that happens to the host at an instant of true time.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at: Micros,
    pub(crate) kind: Kind,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// The process dies and comes back.
    Kill { down: Micros },
    /// The process dies at one of the next commits and comes back.
    CrashAtCommit { n_left: u32, is_kept: bool, down: Micros },
    /// The process is asked to stop, and comes back.
    Stop { grace: Micros, down: Micros },
    /// The ledger refuses commits for a time. Some it keeps although it says that it does not.
    Refuse { time: Micros, is_kept: bool },
    /// Commits are slow for a time.
    Slow { time: Micros, each: Micros },
    /// The wall clock is set.
    Step { by: Micros },
    /// A job is paused for a time.
    Pause { job: String, time: Micros, resume: Resume },
    /// The end of a pause.
    Resume { job: String, resume: Resume },
    /// The whole host is paused for a time.
    PauseAll { time: Micros, resume: Resume },
    /// The end of a pause of the whole host.
    ResumeAll { resume: Resume },
    /// Somebody asks for slots of the past to be made up for.
    Backfill { job: String, slots: Vec<Micros>, key: String },
    /// Somebody asks for a run, twice under one key.
    Fire { job: String, key: String },
    /// Other code is put in force, for one job or for all.
    Reload { job: Option<String> },
}

/// How often other code comes for each fault, at the most.
const RELOADS_MAX: i64 = 40;

/// The faults of a seed, in order.
pub(crate) fn all(chance: &mut Chance, n_faults: usize, jobs: &[SimJob], from: Micros, until: Micros) -> Vec<Fault> {
    let n_parts = i64::try_from(n_faults.max(1)).unwrap();
    let part = (until - from) / n_parts;
    let mut faults = Vec::new();
    for number in 0..n_parts {
        let begin = from + part * number;
        // The first half of the part is for the fault, the second for what follows from it.
        let at = begin + chance.between(part / 20, part / 2);
        let long = (part / 3).min(3 * 3_600 * SECOND);
        let kind = if n_faults == 0 { continue } else { kind(chance, jobs, long) };
        match &kind {
            Kind::Pause { job, time, resume } => {
                let kind = Kind::Resume { job: job.clone(), resume: *resume };
                faults.push(Fault { at: at + time, kind });
            }
            Kind::PauseAll { time, resume } => {
                faults.push(Fault { at: at + time, kind: Kind::ResumeAll { resume: *resume } });
                // The next life is told of it before its jobs come.
                if chance.percent(50) {
                    faults.push(Fault { at: at + time / 4, kind: Kind::Kill { down: time / 4 } });
                }
            }
            _ => {}
        }
        faults.push(Fault { at, kind });
        let asked = begin + chance.between(SECOND, part / 25);
        faults.extend(backfill(chance, jobs, asked, number));
        let job = chance.pick(jobs).job.id.to_string();
        let key = format!("key-{number}");
        faults.push(Fault { at: begin + chance.between(SECOND, part / 25), kind: Kind::Fire { job, key } });
        for _ in 0..chance.between(0, RELOADS_MAX) {
            let job = chance.percent(20).then(|| chance.pick(jobs).job.id.to_string());
            faults.push(Fault { at: begin + chance.between(SECOND, part), kind: Kind::Reload { job } });
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Slots of a job that lie some hours back.
fn backfill(chance: &mut Chance, jobs: &[SimJob], at: Micros, number: i64) -> Option<Fault> {
    let job = chance.pick(jobs);
    let known = &job.revision.slots;
    let n_past = known.partition_point(|slot| *slot < at - 4 * 3_600 * SECOND);
    let n = usize::try_from(chance.between(1, 6)).unwrap().min(n_past);
    let (job, slots) = (job.job.id.to_string(), known[n_past - n..n_past].to_vec());
    (!slots.is_empty()).then(|| Fault { at, kind: Kind::Backfill { job, slots, key: format!("backfill-{number}") } })
}

fn kind(chance: &mut Chance, jobs: &[SimJob], long: Micros) -> Kind {
    let short = chance.between(SECOND / 5, 60 * SECOND);
    let time = if chance.percent(50) { short } else { chance.between(SECOND, long) };
    match chance.between(1, 11) {
        1 | 2 => Kind::Kill { down: time },
        3 | 4 => {
            let n_left = u32::try_from(chance.between(1, 8)).unwrap();
            Kind::CrashAtCommit { n_left, is_kept: chance.percent(50), down: time }
        }
        5 => Kind::Stop { grace: chance.between(0, 30) * SECOND, down: time },
        6 => Kind::Refuse { time, is_kept: chance.percent(50) },
        7 => Kind::Slow { time, each: chance.between(SECOND / 10, 20 * SECOND) },
        8 => Kind::Step { by: time },
        9 => Kind::Step { by: -time },
        pause => {
            let resume = if chance.percent(50) { Resume::Now } else { Resume::Last };
            if pause == 10 {
                return Kind::PauseAll { time, resume };
            }
            Kind::Pause { job: chance.pick(jobs).job.id.to_string(), time, resume }
        }
    }
}
