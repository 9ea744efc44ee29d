//! Compilation: strangers' bytes become code in a child process that can do nothing else, one at a time and within a
//! budget, and what came of it is kept.
//!
//! The engine does not promise to survive every file: ten kilobytes can cost it minutes, and where memory runs out it ends
//! its process. Here both end a child. This module decides what is compiled when; `work` is what is done to the bytes,
//! `parent` and `child` are the two ends of the process, `cache` keeps code between starts of the program.

mod budget;
mod cache;
pub(crate) mod child;
mod compiled;
mod order;
mod parent;
pub(crate) mod work;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use wasmtime::Engine;

use self::{cache::Cache, order::Order, parent::Breach};
use crate::{
    engine::{Allocation, Metering},
    error::LoadError,
};

pub(crate) use self::{
    budget::Budget,
    cache::Key,
    compiled::{Compiled, Effort},
};
pub use self::{budget::CompileBudget, child::compile_guest};

/// Refusals of one process that are remembered, so that a reload does not spend the budget on the same file again.
const REMEMBERED_MAX: usize = 256;

/// How components are compiled.
#[derive(Clone, Debug, Default)]
pub struct CompileSettings {
    /// Where.
    pub compiler: Compiler,
    /// The folder that keeps compiled code; without one it is compiled at each start.
    pub cache: Option<PathBuf>,
    /// What one file may cost, where whoever loads it says nothing else.
    pub budget: CompileBudget,
}

/// Where components are compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// In this process and without any budget: for tests, benchmarks, and files that one trusts.
    #[default]
    InProcess,
    /// In a child process. This program is started as `PROGRAM compile-guest ORDER` and has to hand the order to
    /// `compile_guest`.
    Child(PathBuf),
}

/// What is to be compiled.
#[derive(Clone, Copy)]
pub(crate) struct Source<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) digest: &'b str,
    pub(crate) metering: Metering,
    pub(crate) allocation: Allocation,
    /// Whoever loads it says how much, and not the workshop: a manifest that is read again may say otherwise.
    pub(crate) budget: CompileBudget,
}

impl Source<'_> {
    fn budget(&self) -> Budget {
        Budget::of(self.bytes.len(), &self.budget)
    }
}

/// The one place where files become code.
pub(crate) struct Workshop {
    settings: CompileSettings,
    cache: Option<Cache>,
    /// Held while something is compiled: a pile of bombs takes no more of the machine than one.
    queue: Mutex<()>,
    /// With the budget of each: within a larger one it may go well.
    refused: Mutex<VecDeque<(Key, Budget, LoadError)>>,
}

impl Workshop {
    pub(crate) fn new(settings: CompileSettings) -> Self {
        let cache = settings.cache.as_deref().and_then(Cache::open);
        Self { settings, cache, queue: Mutex::default(), refused: Mutex::default() }
    }

    /// The code of a file, from the cache or fresh.
    ///
    /// # Errors
    /// What is wrong with the file, or what compiling it would cost.
    pub(crate) fn compiled(&self, engine: &Engine, source: Source<'_>) -> Result<Compiled, LoadError> {
        let keys = [Effort::Full, Effort::Least].map(|effort| Key::of(engine, source, effort));
        let kept = |cache: &Cache| keys.iter().find_map(|key| cache.read(key));
        if let Some(compiled) = self.cache.as_ref().and_then(kept) {
            return Ok(compiled);
        }
        let _turn = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = self.remembered(&keys[0], &source.budget()) {
            return Err(refusal);
        }
        let compiled = match &self.settings.compiler {
            Compiler::InProcess => work::compile(engine, source.bytes, Effort::Full),
            Compiler::Child(program) => self.in_child(program, source, &keys[0]),
        };
        if let (Ok(compiled), Some(cache)) = (&compiled, &self.cache) {
            cache.write(&keys[usize::from(compiled.effort() == Effort::Least)], compiled);
        }
        compiled
    }

    /// Compiles within the budget: with all optimisations, and where that costs too much without any.
    fn in_child(&self, program: &Path, source: Source<'_>, key: &Key) -> Result<Compiled, LoadError> {
        let budget = source.budget();
        let Source { bytes, metering, allocation, .. } = source;
        let run = |effort| parent::run(program, &Order { metering, allocation, effort, budget }, bytes);
        let mut answer = run(Effort::Full);
        // The allocator of registers is what both time and memory go into.
        if let Err(Breach::Processor | Breach::Memory) = answer {
            tracing::debug!(sha256 = source.digest, "compiled once more, without optimisations");
            answer = run(Effort::Least);
        }
        answer.unwrap_or_else(|breach| {
            let lasts = breach.is_of_the_file();
            let refusal = breach.into_refusal(&budget);
            if lasts {
                self.remember(key, budget, &refusal);
            }
            Err(refusal)
        })
    }

    fn remembered(&self, key: &Key, budget: &Budget) -> Option<LoadError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let known = refused.iter().find(|(refused, within, _)| refused == key && within == budget);
        known.map(|(.., refusal)| refusal.clone())
    }

    fn remember(&self, key: &Key, budget: Budget, refusal: &LoadError) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push_back((key.clone(), budget, refusal.clone()));
        while REMEMBERED_MAX < refused.len() {
            refused.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::LoadCode;

    #[test]
    fn a_refusal_is_remembered_for_its_budget_only() {
        let engine = Engine::default();
        let workshop = Workshop::new(CompileSettings::default());
        let source = |memory_bytes_max| Source {
            bytes: b"bytes",
            digest: "digest",
            metering: Metering::Plain,
            allocation: Allocation::Pooling,
            budget: CompileBudget { cpu_time_max: None, memory_bytes_max },
        };
        let (small, large) = (source(Some(1 << 20)), source(None));
        let key = Key::of(&engine, small, Effort::Full);
        assert_eq!(key, Key::of(&engine, large, Effort::Full), "the code does not depend on its budget");
        let refusal = LoadError::new(LoadCode::Budget, "too much", "less");
        workshop.remember(&key, small.budget(), &refusal);
        let told = |source: Source<'_>| workshop.remembered(&key, &source.budget()).map(|refusal| refusal.message);
        assert_eq!((told(small), told(large)), (Some("too much".to_owned()), None));
    }
}
