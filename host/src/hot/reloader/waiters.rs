//! Those who wish something of the reloader, and those who wait for a reload: when they are answered, and with what.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Next, Reading, Task};
use crate::hot::{Wish, plan, view::Plan};

/// How long somebody who asks for a reload waits at the most for what is not his: files that never come to rest, a pile of
/// components that nobody runs. So long also a manifest waits until what is wrong with it is told.
pub(in crate::hot) const SETTLES: Duration = Duration::from_secs(3);

/// Somebody who waits for a reload.
pub(in crate::hot) struct Waiter {
    pub(super) answer: oneshot::Sender<Plan>,
    /// What happened since.
    pub(in crate::hot) plan: Plan,
    pub(super) asked_at: Duration,
}

impl Task {
    /// Does what somebody wishes; what takes long is answered when it is done.
    pub(super) async fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Reload { cause, answer } => {
                let asked_at = self.parts.clock.monotonic();
                self.waiting.push(Waiter { answer, plan: Plan::default(), asked_at });
                self.read_again(Reading::Asked, cause);
            }
            Wish::Plan { files, answer } => self.plan(files, answer),
            Wish::Approve { plugin, digest, answer } => {
                let approved = self.approve(&plugin, digest.as_deref()).await;
                drop(answer.send(approved));
            }
            Wish::Define { asked, answer } => {
                let defined = self.define(asked).await;
                drop(answer.send(defined));
            }
            Wish::Upload { asked, answer } => {
                let taken = self.upload(asked).await;
                drop(answer.send(taken));
            }
            Wish::Unload { plugin, is_dry, answer } => {
                let gone = self.unload(plugin, is_dry).await;
                drop(answer.send(gone));
            }
            Wish::RollBack { plugin, to, answer } => {
                let rolled_back = self.roll_back(&plugin, to, "asked for").await;
                drop(answer.send(rolled_back));
            }
        }
    }

    /// Whether nothing is to be done and nothing goes on that may change what is in force.
    pub(in crate::hot) fn is_settled(&self) -> bool {
        let works = self.reading.is_some() || self.examining.is_some();
        !works && !self.is_restless && self.wants_reading.is_none() && self.queue.is_empty()
    }

    /// Whether what somebody asked for is done, whatever else goes on.
    fn is_answered(&self) -> bool {
        let is_asked_for = |how: Option<Reading>| how == Some(Reading::Asked);
        let reads = self.reading.is_some() && self.reading_is == Reading::Asked;
        let decided = |next: &Next| next.awaited.is_empty() && (next.refused.is_some() || !next.aside.is_empty());
        !reads && !is_asked_for(self.wants_reading) && self.next.as_ref().is_none_or(decided)
    }

    /// Answers those who wait until everything is settled.
    pub(super) fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (is_settled, is_answered, now) = (self.is_settled(), self.is_answered(), self.parts.clock.monotonic());
        let is_over = |waiter: &mut Waiter| is_settled || is_answered && SETTLES <= now.saturating_sub(waiter.asked_at);
        let over: Vec<_> = self.waiting.extract_if(.., is_over).collect();
        for Waiter { answer, mut plan, .. } in over {
            self.complete(&mut plan);
            drop(answer.send(plan));
        }
    }

    /// Adds what is not in force, whenever that was seen: who deploys wants to know.
    fn complete(&self, plan: &mut Plan) {
        if let Some(next) = &self.next
            && let Some((why, findings)) = &next.refused
        {
            plan.refused = Some(why.clone());
            plan.findings.clone_from(findings);
            plan.sources.clone_from(&next.set.loaded.sources);
        }
        let candidates = self
            .lines
            .iter()
            .filter_map(|(name, line)| Some((name, line.candidate.as_ref()?, Some(line.current.row.number))));
        let faults = self
            .faulty
            .values()
            .map(|(name, view)| (name, view, self.lines.get(name).map(|line| line.current.row.number)));
        for (name, view, runs) in candidates.chain(faults) {
            if !plan.plugins.iter().any(|change| change.plugin == *name) {
                plan.plugins.push(plan::of_candidate(name, view, runs));
            }
        }
    }
}
