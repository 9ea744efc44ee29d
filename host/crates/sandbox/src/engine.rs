//! The engines: one for guests as they are, a second for guests whose instructions are counted.
//!
//! Counting changes the compiled code, so it needs an engine of its own, made when first asked for.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use clockjack_schedule::{job, ports::Vault};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, RegallocAlgorithm,
    Strategy, WasmBacktraceDetails, WasmFeatures, component::Linker,
};

use crate::{
    attempt::GuestState,
    compile::{CompileBudget, CompileSettings, Effort, Workshop},
    egress::{self, Resolve},
    error::{LoadCode, LoadError},
    files, guest_api,
    limiter::{MEMORIES_MAX, TABLES_MAX},
    preview_1,
    scratch::{self, ScratchRoot},
    standard,
    ticker::Ticker,
};

/// Most core instances of one component.
const CORE_INSTANCES_MAX: u32 = job::INSTANCES_MAX;

/// Largest size of one core instance's own data: the largest measured (Python) is 242 KB.
const CORE_INSTANCE_BYTES_MAX: usize = 1 << 20;

/// Largest size of one component instance's own data: the largest measured (Python) is 399 KB.
const COMPONENT_INSTANCE_BYTES_MAX: usize = 2 << 20;

/// How much of a slot's memory stays with the process between two attempts. Clearing it costs less than asking the
/// kernel for it again, and the kernel's page map tells which of it was touched.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;

/// The same for the stack of an attempt; most guests touch a few pages of it.
const STACK_KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// How a sandbox is set up.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// How many attempts may go on at once.
    pub n_slots: u32,
    /// The highest memory limit of any job.
    pub memory_bytes_max: u64,
    /// The highest number of table elements of any job.
    pub table_elements_max: u64,
    /// In which folder commands get folders of their own.
    pub scratch: PathBuf,
    /// How components are compiled.
    pub compile: CompileSettings,
}

/// Where instances come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool that was reserved at start.
    Pooling,
    /// From the operating system, each time: slower, where the pool's address space cannot be had.
    OnDemand,
}

/// Guests with or without counted instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metering {
    Plain,
    Fuel,
}

/// One engine with everything that guests may import.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<GuestState>,
    /// For programs of WASI preview 1.
    pub(crate) core_linker: wasmtime::Linker<GuestState>,
    _ticker: Ticker,
}

/// The sandbox: compiles plugins and runs attempts.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
    vault: Option<Arc<dyn Vault>>,
    /// Who looks names up; absent means the system.
    resolver: Option<Arc<dyn Resolve>>,
    compile_budget: CompileBudget,
}

struct Inner {
    settings: EngineSettings,
    allocation: Allocation,
    plain: Bench,
    fuel: OnceLock<Result<Bench, LoadError>>,
    workshop: Workshop,
    scratch: OnceLock<Result<ScratchRoot, String>>,
}

impl Sandbox {
    /// Sets a sandbox up. Reserves the pool, or falls back where the machine refuses it.
    ///
    /// # Errors
    /// When no engine can be made at all.
    pub fn new(settings: EngineSettings) -> Result<Self, LoadError> {
        let (plain, allocation) = match bench(&settings, Metering::Plain, Allocation::Pooling) {
            Ok(plain) => (plain, Allocation::Pooling),
            Err(refused) => {
                tracing::warn!(reason = %refused, "no pool of instances: they come one by one from the system, which is slower");
                (bench(&settings, Metering::Plain, Allocation::OnDemand)?, Allocation::OnDemand)
            }
        };
        Ok(Self::of(settings, allocation, plain))
    }

    /// A sandbox whose instances come from where those of another process come from, so that both take the same code.
    ///
    /// # Errors
    /// When such an engine cannot be made.
    pub(crate) fn with_allocation(settings: EngineSettings, allocation: Allocation) -> Result<Self, LoadError> {
        let plain = bench(&settings, Metering::Plain, allocation)?;
        Ok(Self::of(settings, allocation, plain))
    }

    fn of(settings: EngineSettings, allocation: Allocation, plain: Bench) -> Self {
        let (workshop, compile_budget) = (Workshop::new(settings.compile.clone()), settings.compile.budget);
        let inner = Inner { settings, allocation, plain, fuel: OnceLock::new(), workshop, scratch: OnceLock::new() };
        Self { inner: Arc::new(inner), vault: None, resolver: None, compile_budget }
    }

    /// How it was set up.
    pub(crate) fn settings(&self) -> &EngineSettings {
        &self.inner.settings
    }

    /// The same sandbox with the values of secrets. Without them, none can be had.
    #[must_use]
    pub fn with_vault(self, vault: Arc<dyn Vault>) -> Self {
        Self { vault: Some(vault), ..self }
    }

    /// The same sandbox for files that may cost this much to compile.
    #[must_use]
    pub fn with_compile_budget(self, compile_budget: CompileBudget) -> Self {
        Self { compile_budget, ..self }
    }

    pub(crate) fn compile_budget(&self) -> CompileBudget {
        self.compile_budget
    }

    /// The same sandbox with another one to look names up.
    #[cfg(test)]
    pub(crate) fn with_resolver(self, resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver: Some(resolver), ..self }
    }

    pub(crate) fn resolver(&self) -> Option<Arc<dyn Resolve>> {
        self.resolver.clone()
    }

    pub(crate) fn vault(&self) -> Option<&Arc<dyn Vault>> {
        self.vault.as_ref()
    }

    /// The engine that guests run on, for benchmarks that compare with bare wasmtime on it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.plain.engine
    }

    /// Where instances come from.
    #[must_use]
    pub fn allocation(&self) -> Allocation {
        self.inner.allocation
    }

    /// Where files become code.
    pub(crate) fn workshop(&self) -> &Workshop {
        &self.inner.workshop
    }

    /// Removes what hosts that are gone have left of their scratch folders, and says how many those were.
    #[must_use]
    pub fn clear_leftovers(&self) -> usize {
        scratch::clear_leftovers(&self.inner.settings.scratch)
    }

    /// The folder in which attempts have theirs, made when first asked for.
    pub(crate) fn scratch_root(&self) -> Result<&ScratchRoot, String> {
        let parent = &self.inner.settings.scratch;
        let made = self.inner.scratch.get_or_init(|| {
            ScratchRoot::new(parent)
                .map_err(|error| format!("no scratch folder can be made in `{}`: {error}", parent.display()))
        });
        made.as_ref().map_err(String::clone)
    }

    pub(crate) fn bench(&self, metering: Metering) -> Result<&Bench, LoadError> {
        match metering {
            Metering::Plain => Ok(&self.inner.plain),
            Metering::Fuel => {
                let made =
                    self.inner.fuel.get_or_init(|| bench(&self.inner.settings, Metering::Fuel, self.inner.allocation));
                made.as_ref().map_err(LoadError::clone)
            }
        }
    }
}

/// The engine's settings, which the benchmark's floor shares.
pub(crate) fn config(settings: &EngineSettings, metering: Metering, allocation: Allocation) -> Config {
    let mut config = code_config(metering, allocation, Effort::Full);
    if allocation == Allocation::Pooling {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
    }
    config
}

/// Those of them that change the code, for an engine that only compiles: it reserves no pool.
pub(crate) fn code_config(metering: Metering, allocation: Allocation, effort: Effort) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .concurrency_support(false)
        .epoch_interruption(true)
        .consume_fuel(metering == Metering::Fuel)
        // No surprise from an environment variable.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Each of these is one more way in, and no language that was measured needs it.
        .wasm_tail_call(false)
        .wasm_features(WasmFeatures::FUNCTION_REFERENCES | WasmFeatures::GC | WasmFeatures::EXCEPTIONS, false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        // Not off: wasmtime joins two parts of a component that have a memory each, as JavaScript's have, with a module
        // of its own making that names both memories, and it panics where that feature is off.
        .wasm_multi_memory(true);
    // Where address space is short, a memory takes what it uses, at the price of a bounds check per access.
    if allocation == Allocation::OnDemand {
        config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(1 << 20);
    }
    // Neither changes what the code does.
    if effort == Effort::Least {
        config.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    config
}

/// Places that nobody is in and that keep the pages of their last guest: as many as run at once on a machine with many cores.
/// Each generation of a plugin is another guest, so that without a bound every place would keep the pages of an old one.
const WARM_SLOTS_MAX: u32 = 32;

fn pool(settings: &EngineSettings) -> PoolingAllocationConfig {
    let n_slots = settings.n_slots.max(1);
    let memories = u32::try_from(MEMORIES_MAX).unwrap_or(u32::MAX);
    let tables = u32::try_from(TABLES_MAX).unwrap_or(u32::MAX);
    // The most for every slot, though few guests need it: otherwise a job could leave another one without a table.
    // It is address space only.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(n_slots)
        .total_core_instances(n_slots.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(n_slots.saturating_mul(memories))
        .total_tables(n_slots.saturating_mul(tables))
        .total_stacks(n_slots)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_memory_size(usize::try_from(settings.memory_bytes_max).unwrap_or(usize::MAX))
        // One more than any job may have, so that the limiter is asked before the pool refuses.
        .table_elements(usize::try_from(settings.table_elements_max.saturating_add(1)).unwrap_or(usize::MAX))
        .max_core_instance_size(CORE_INSTANCE_BYTES_MAX)
        .max_component_instance_size(COMPONENT_INSTANCE_BYTES_MAX)
        .max_unused_warm_slots(WARM_SLOTS_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(STACK_KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

fn bench(settings: &EngineSettings, metering: Metering, allocation: Allocation) -> Result<Bench, LoadError> {
    let unusable = |error: wasmtime::Error| {
        let fix = "give the process more address space (`ulimit -v`), or lower `host.ceilings.memory`";
        LoadError::new(LoadCode::Budget, format!("the WebAssembly engine cannot be set up: {error:#}"), fix)
    };
    let engine = Engine::new(&config(settings, metering, allocation)).map_err(unusable)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(unusable)?;
    files::add_to_linker(&mut linker).map_err(unusable)?;
    guest_api::add_to_linker(&mut linker).map_err(unusable)?;
    standard::add_to_linker(&mut linker).map_err(unusable)?;
    egress::add_to_linker(&mut linker).map_err(unusable)?;
    let mut core_linker = wasmtime::Linker::new(&engine);
    preview_1::add_to_linker(&mut core_linker).map_err(unusable)?;
    let ticker = Ticker::start(vec![engine.clone()]).map_err(|error| unusable(error.into()))?;
    Ok(Bench { engine, linker, core_linker, _ticker: ticker })
}
