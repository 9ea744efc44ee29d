//! What it costs to call a function whose types are known only when the plugin is loaded, beside the same call with types
//! that the compiler knows.
//!
//! Prints one JSON line. `per_call` calls one instance again and again; `per_run` makes an instance for each call, as every
//! attempt does. The dynamic side takes ready component values, as a job has them, and turns the result into JSON, as a run
//! does; the static side lowers and lifts Rust types. `ratio` of `per_run` is to stay below 1.3. `--tiny` only shows that it
//! works.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{path::Path, time::Duration};

use clockjack::load;
use clockjack_sandbox::{CompileSettings, value_to_json};
use clockjack_schedule::job::Ceilings;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value as Json, json};
use wasmtime::{
    Store,
    component::{
        Component, ComponentNamedList, ComponentType, Instance, InstancePre, Lift, Linker, Lower, TypedFunc, Val,
    },
};

/// What `echo-items` of the guest takes and gives, as static bindings have it.
#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Item {
    name: String,
    count: u16,
}

struct Bench {
    pre: InstancePre<()>,
    n_calls: u32,
}

fn main() -> wasmtime::Result<()> {
    let n_calls = if std::env::args().any(|arg| arg == "--tiny") { 50 } else { 20_000 };
    let sandbox = load::sandbox_with(&Ceilings::default(), 4, CompileSettings::default())?;
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/typed.wasm");
    let component = Component::new(sandbox.engine(), std::fs::read(guest)?)?;
    let mut linker = Linker::new(sandbox.engine());
    linker.define_unknown_imports_as_traps(&component)?;
    let bench = Bench { pre: linker.instantiate_pre(&component)?, n_calls };
    let items: Vec<_> = (0..8).map(|count| Item { name: format!("item number {count}"), count }).collect();
    let field = |name: &str, value| (name.to_owned(), value);
    let record = |item: &Item| {
        Val::Record(vec![field("name", Val::String(item.name.clone())), field("count", Val::U16(item.count))])
    };
    let records = Val::List(items.iter().map(record).collect());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let line = runtime.block_on(async {
        let number = bench.compare::<(u32,), (u32,)>("echo-u32", (7,), Val::U32(7)).await?;
        let records = bench.compare::<(Vec<Item>,), (Vec<Item>,)>("echo-items", (items,), records).await?;
        Ok::<Json, wasmtime::Error>(json!({ "number": number, "records": records }))
    })?;
    #[expect(clippy::print_stdout, reason = "the line is what a bench is for")]
    {
        println!("{line}");
    }
    Ok(())
}

impl Bench {
    fn store(&self) -> Store<()> {
        let mut store = Store::new(self.pre.engine(), ());
        store.set_epoch_deadline(u64::MAX / 2);
        store
    }

    async fn compare<P, R>(&self, name: &str, given: P, value: Val) -> wasmtime::Result<Json>
    where
        P: ComponentNamedList + Lower + Clone + Send + Sync + 'static,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let mut line = json!({});
        for (kind, is_fresh) in [("per_call", false), ("per_run", true)] {
            // Half of each side before and half after the other, so that a busy moment meets both.
            let mut times = [Duration::ZERO; 2];
            for side in [0, 1, 1, 0] {
                times[side] += match side {
                    0 => self.statically::<P, R>(name, &given, is_fresh).await?,
                    _ => self.dynamically(name, &value, is_fresh).await?,
                };
            }
            let [typed, dynamic] = times.map(|time| time.as_secs_f64() * 1e6 / f64::from(2 * self.n_calls));
            let rounded = |x: f64| (x * 1e3).round() / 1e3;
            line[kind] = json!({ "static_us": rounded(typed), "dynamic_us": rounded(dynamic), "ratio": rounded(dynamic / typed) });
        }
        Ok(line)
    }

    async fn statically<P, R>(&self, name: &str, given: &P, is_fresh: bool) -> wasmtime::Result<Duration>
    where
        P: ComponentNamedList + Lower + Clone + Send + Sync + 'static,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let (mut store, mut instance) = self.instance().await?;
        let mut function: TypedFunc<P, R> = instance.get_typed_func(&mut store, name)?;
        let before = cpu();
        for _ in 0..self.n_calls {
            if is_fresh {
                (store, instance) = self.instance().await?;
                function = instance.get_typed_func(&mut store, name)?;
            }
            std::hint::black_box(function.call_async(&mut store, given.clone()).await?);
        }
        Ok(cpu().saturating_sub(before))
    }

    async fn dynamically(&self, name: &str, value: &Val, is_fresh: bool) -> wasmtime::Result<Duration> {
        let place = self.pre.component().get_export_index(None, name).expect("the guest exports it");
        let (mut store, mut instance) = self.instance().await?;
        let mut function = instance.get_func(&mut store, place).expect("the guest exports it");
        let given = [value.clone()];
        let before = cpu();
        for _ in 0..self.n_calls {
            if is_fresh {
                (store, instance) = self.instance().await?;
                function = instance.get_func(&mut store, place).expect("the guest exports it");
            }
            let mut results = [Val::Bool(false)];
            function.call_async(&mut store, &given, &mut results).await?;
            std::hint::black_box(value_to_json(&results[0]));
        }
        Ok(cpu().saturating_sub(before))
    }

    async fn instance(&self) -> wasmtime::Result<(Store<()>, Instance)> {
        let mut store = self.store();
        let instance = self.pre.instantiate_async(&mut store).await?;
        Ok((store, instance))
    }
}

/// Processor time of the whole process so far.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap_or_default(), now.tv_nsec.try_into().unwrap_or_default())
}
