//! The jobs of a simulated host, each as the host knows it and as the checker does.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use clockjack_checker::{self as checker, Micros, Revision, SECOND, slots};
use clockjack_schedule::{
    diagnostic::Diagnostics,
    id::{PoolName, StoreName},
    job::{
        After, AfterOn, Arguments, Coalesce, Delivery, Grants, Job, Limits, OnReload, Overlap, Policy, Retry, RetryOn,
        Setup,
    },
    manifest::parse::parse,
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};

use crate::chance::Chance;

/// A pool with few places.
pub(crate) const SMALL: (&str, u32) = ("small", 2);

/// A trigger as text for the host, and its slots from the independent generator.
#[derive(Clone, Debug)]
struct When {
    text: String,
    slots: Vec<Micros>,
    jitter_max: Micros,
}

/// How dense triggers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Density {
    /// About fifty slots a day.
    Day,
    /// About five slots a day.
    Year,
}

/// One job.
#[derive(Clone, Debug)]
pub(crate) struct SimJob {
    pub(crate) job: Arc<Job>,
    pub(crate) revision: Revision,
}

fn when(chance: &mut Chance, density: Density, from: Micros, until: Micros) -> When {
    let (periods, crons): (&[i64], &[&str]) = match density {
        Density::Day => (
            &[420, 900, 1_800, 2_700, 3_600],
            &["*/20 * * * *", "17 * * * *", "5,35 */2 * * *", "0 6-18 * * *", "*/30 8-17 * * 1-5", "0 3 * * *"],
        ),
        Density::Year => (&[14_400, 21_600, 43_200], &["0 3 * * *", "30 6,18 * * *", "0 9 * * 1-5", "0 0 1,15 * *"]),
    };
    let jitter_s = if chance.percent(20) { chance.between(1, 120) } else { 0 };
    let jitter = if jitter_s == 0 { String::new() } else { format!(", jitter: {jitter_s}s") };
    let jitter_max = jitter_s * SECOND;
    if chance.percent(50) {
        let seconds = *chance.pick(periods);
        let anchor = from - chance.between(0, 86_400) * SECOND;
        let text = format!("{{ every: {seconds}s, anchor: \"{}\"{jitter} }}", checker::show(anchor));
        let slots = slots::every(anchor, u32::try_from(seconds).unwrap(), from, until);
        return When { text, slots, jitter_max };
    }
    let cron = *chance.pick(crons);
    let slots = slots::cron(cron, from, until).unwrap();
    When { text: format!("{{ cron: \"{cron}\"{jitter} }}"), slots, jitter_max }
}

fn policy(chance: &mut Chance) -> Policy {
    let seconds = |seconds| Duration::from_secs(seconds);
    let retry = Retry {
        attempts_max: NonZeroU32::new(u32::try_from(chance.between(1, 3)).unwrap()).unwrap(),
        backoff: seconds(*chance.pick(&[1, 10, 60])),
        ..Retry::default()
    };
    Policy {
        misfire_grace: *chance.pick(&[None, None, Some(seconds(30)), Some(seconds(600)), Some(seconds(7_200))]),
        coalesce: *chance.pick(&[Coalesce::Latest, Coalesce::Latest, Coalesce::Earliest, Coalesce::All]),
        max_backlog: NonZeroU32::new(u32::try_from(chance.between(1, 6)).unwrap()).unwrap(),
        overlap: *chance.pick(&[Overlap::Skip, Overlap::Skip, Overlap::Queue, Overlap::Replace, Overlap::Allow]),
        max_instances: NonZeroU32::new(u32::try_from(*chance.pick(&[1, 1, 2])).unwrap()).unwrap(),
        retry,
        delivery: if chance.percent(30) { Delivery::AtMostOnce } else { Delivery::AtLeastOnce },
        priority: i32::try_from(chance.between(-2, 2)).unwrap(),
        run_on_start: chance.percent(5),
        on_reload: *chance.pick(&[
            OnReload::Drain { deadline: None },
            OnReload::Drain { deadline: Some(seconds(20)) },
            OnReload::Cancel,
            OnReload::Replace,
            OnReload::Replace,
        ]),
        retry_on: *chance.pick(&[RetryOn::Latest, RetryOn::Same]),
        ..Policy::default()
    }
}

/// The jobs of a seed, with their slots in a span of wall time.
pub(crate) fn all(chance: &mut Chance, n_jobs: usize, density: Density, from: Micros, until: Micros) -> Vec<SimJob> {
    let zones = Zones::bundled();
    let mut jobs: Vec<SimJob> = Vec::new();
    for number in 0..n_jobs {
        let id = format!("j{number}");
        let policy = policy(chance);
        let pool = if chance.percent(15) { SMALL.0.parse().unwrap() } else { PoolName::default() };
        // Some run after another one, which came before them in the list: no cycles.
        let after = if 0 < number && chance.percent(10) {
            let upstream =
                jobs[usize::try_from(chance.between(0, i64::try_from(number).unwrap() - 1)).unwrap()].job.id.clone();
            vec![After { job: upstream, on: *chance.pick(&[AfterOn::Success, AfterOn::Failure, AfterOn::Always]) }]
        } else {
            Vec::new()
        };
        let when = when(chance, density, from, until);
        jobs.push(sim_job(&zones, &id, policy, pool, after, &when));
    }
    jobs
}

fn sim_job(zones: &Zones, id: &str, policy: Policy, pool: PoolName, after: Vec<After>, when: &When) -> SimJob {
    let zone = Zone::utc();
    let context = TriggerContext::new(zones, &zone, id);
    let mut diagnostics = Diagnostics::default();
    let trigger = parse(0, &when.text).0.and_then(|node| Trigger::read(&node, context, &mut diagnostics));
    let trigger = if after.is_empty() { Some(trigger.unwrap_or_else(|| panic!("{diagnostics:?}"))) } else { None };
    let slots = if after.is_empty() { when.slots.clone() } else { Vec::new() };
    let revision = Revision {
        misfire_grace: policy.misfire_grace.map(micros),
        coalesce: match policy.coalesce {
            Coalesce::Latest => checker::Coalesce::Latest,
            Coalesce::Earliest => checker::Coalesce::Earliest,
            Coalesce::All => checker::Coalesce::All,
        },
        max_backlog: usize::try_from(policy.max_backlog.get()).unwrap(),
        overlap: match policy.overlap {
            Overlap::Skip => checker::Overlap::Skip,
            Overlap::Queue => checker::Overlap::Queue,
            Overlap::Replace => checker::Overlap::Replace,
            Overlap::Allow => checker::Overlap::Allow,
        },
        max_instances: usize::try_from(policy.max_instances.get()).unwrap(),
        attempts_max: policy.retry.attempts_max.get(),
        backoff_max: micros(policy.retry.backoff_max),
        delivery: match policy.delivery {
            Delivery::AtLeastOnce => checker::Delivery::AtLeastOnce,
            Delivery::AtMostOnce => checker::Delivery::AtMostOnce,
        },
        on_reload: match policy.on_reload {
            OnReload::Drain { deadline } => checker::OnReload::Drain { deadline: deadline.map(micros) },
            OnReload::Cancel => checker::OnReload::Cancel,
            OnReload::Replace => checker::OnReload::Replace,
        },
        jitter_max: if after.is_empty() { when.jitter_max } else { 0 },
        after: after.iter().map(follows).collect(),
        run_on_start: policy.run_on_start,
        pool: Some(pool.to_string()),
        ..Revision::new(id, slots)
    };
    let setup = Setup {
        plugin: "p".parse().unwrap(),
        call: None,
        args: Arguments::None,
        command: None,
        after,
        zone,
        policy,
        pool,
        store: StoreName::default(),
        limits: Limits::default(),
        grants: Grants::default(),
        notify: Arc::default(),
        description: None,
        labels: BTreeMap::new(),
    };
    let job = Arc::new(Job { id: id.parse().unwrap(), trigger, trigger_hash: 1, setup: Arc::new(setup) });
    SimJob { job, revision }
}

fn follows(after: &After) -> checker::After {
    let on = match after.on {
        AfterOn::Success => checker::AfterOn::Success,
        AfterOn::Failure => checker::AfterOn::Failure,
        AfterOn::Always => checker::AfterOn::Always,
    };
    checker::After { job: after.job.to_string(), on }
}

fn micros(time: Duration) -> Micros {
    i64::try_from(time.as_micros()).unwrap()
}
