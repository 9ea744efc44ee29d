//! The port: one store is asked directly, several through what puts them together.

use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{
        Change, Committed, Document, DocumentKind, EventBatch, EventMark, GenerationRow, JobFilter, JobStory, KeepOf,
        Ledger, LedgerError, Loaded, PortFuture, Pruned, RunFilter, RunRow, RunStory, SkipFilter,
    },
    run::Skip,
    state::Kept,
};

use super::Stores;

impl Ledger for Stores {
    fn load(&self) -> PortFuture<'_, Result<Loaded, LedgerError>> {
        self.only().map_or_else(|| Box::pin(self.load_all()) as _, |only| only.load())
    }

    fn jobs(&self, filter: JobFilter) -> PortFuture<'_, Result<Vec<JobStory>, LedgerError>> {
        match self.only() {
            Some(only) => only.jobs(filter),
            None => Box::pin(self.jobs_of_all(filter)),
        }
    }

    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        match self.only() {
            Some(only) => only.commit(changes),
            None => self.commit_all(changes),
        }
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        match self.only() {
            Some(only) => only.runs(filter),
            None => Box::pin(self.runs_of_all(filter)),
        }
    }

    fn run(&self, id: RunId) -> PortFuture<'_, Result<Option<RunStory>, LedgerError>> {
        self.only().map_or_else(|| Box::pin(self.story(id)) as _, |only| only.run(id))
    }

    fn generations(&self) -> PortFuture<'_, Result<Vec<GenerationRow>, LedgerError>> {
        self.ledgers[self.homes().default].generations()
    }

    fn documents(&self, kind: DocumentKind) -> PortFuture<'_, Result<Vec<Document>, LedgerError>> {
        self.ledgers[self.homes().default].documents(kind)
    }

    fn events(&self, after: u64, n_max: usize) -> PortFuture<'_, Result<Vec<EventBatch>, LedgerError>> {
        self.ledgers[self.homes().default].events(after, n_max)
    }

    fn event_marks(&self) -> PortFuture<'_, Result<Vec<EventMark>, LedgerError>> {
        self.ledgers[self.homes().default].event_marks()
    }

    fn state(&self, job: &JobId) -> PortFuture<'_, Result<Kept, LedgerError>> {
        let home = self.homes().of(job);
        self.ledgers[home].state(job)
    }

    fn skips(&self, filter: SkipFilter) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        match self.only() {
            Some(only) => only.skips(filter),
            None => Box::pin(self.skips_of_all(filter)),
        }
    }

    fn prune(&self, keep: Vec<KeepOf>, n_max: usize) -> PortFuture<'_, Result<Pruned, LedgerError>> {
        match self.only() {
            Some(only) => only.prune(keep, n_max),
            None => Box::pin(self.prune_all(keep, n_max)),
        }
    }

    fn close(&self) -> PortFuture<'_, Result<(), LedgerError>> {
        self.only().map_or_else(|| Box::pin(self.close_all()) as _, |only| only.close())
    }
}
