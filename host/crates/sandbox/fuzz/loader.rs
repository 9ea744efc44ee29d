//! Any bytes as a plugin, any module as a part of a component, any mutation of a real one: what is not refused runs within
//! its limits, and ends with an outcome.

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use clockjack_sandbox::{Call, Plugin};
use clockjack_schedule::job::{Arguments, Grants};
use wasm_mutate::WasmMutate;

use crate::{Played, sandbox};

const GUESTS: [&[u8]; 3] = [
    include_bytes!("../../../../tests/guests/bench-empty.wasm"),
    include_bytes!("../../../../tests/guests/command.wasm"),
    include_bytes!("../../../../tests/guests/typed.wasm"),
];

/// A module that has the export that a component lifts, whatever else is in it.
fn module(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let exports = wat::parse_str("(module (func (export \"run\")))").expect("text");
    // Every fourth has all that there is, most of which is refused; the others get past the door.
    let is_odd = u8::arbitrary(input)? % 4 == 0;
    let config = wasm_smith::Config {
        exports: Some(exports),
        max_memories: 2,
        max_imports: 0,
        max_memory32_bytes: if is_odd { 1 << 32 } else { 4 << 20 },
        max_table_elements: if is_odd { 1_000_000 } else { 1_000 },
        exceptions_enabled: is_odd,
        gc_enabled: is_odd,
        memory64_enabled: is_odd,
        relaxed_simd_enabled: is_odd,
        tail_call_enabled: is_odd,
        threads_enabled: is_odd,
        ..Default::default()
    };
    Ok(wasm_smith::Module::new(config, input)?.to_bytes())
}

/// A component around it.
fn component(module: &[u8]) -> Option<Vec<u8>> {
    let escaped: String = module.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        "(component (core module $m binary \"{escaped}\") (core instance $i (instantiate $m))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    );
    wat::parse_str(text).ok()
}

fn plugin(input: &mut Unstructured<'_>) -> arbitrary::Result<Option<Vec<u8>>> {
    Ok(match u8::arbitrary(input)? % 8 {
        0 => Some(input.bytes(input.len())?.to_vec()),
        1 => Some(wasm_smith::Component::arbitrary(input)?.to_bytes()),
        2..6 => component(&module(input)?),
        _ => {
            let guest = GUESTS[usize::from(u8::arbitrary(input)?) % GUESTS.len()];
            let mut mutated = guest.to_vec();
            for _ in 0..u8::arbitrary(input)? % 8 {
                let place = usize::arbitrary(input)? % mutated.len();
                mutated[place] = u8::arbitrary(input)?;
            }
            let mut mutate = WasmMutate::default();
            mutate.seed(u64::arbitrary(input)?).fuel(200);
            // It mutates modules: the ones of components are reached by the bytes above.
            let module =
                wat::parse_str("(module (memory 1) (func (export \"run\") (i32.store (i32.const 0) (i32.const 7))))");
            let changed = mutate.run(&module.expect("text")).ok().and_then(|mut all| all.next()).and_then(Result::ok);
            changed.and_then(|module| component(&module)).or(Some(mutated))
        }
    })
}

pub(crate) fn play(bytes: &[u8]) -> Played {
    let Ok(Some(bytes)) = plugin(&mut Unstructured::new(bytes)) else { return Played::Refused };
    let plugin = match Plugin::from_bytes(&sandbox::SANDBOX, &bytes, None, false) {
        Ok(plugin) => Arc::new(plugin),
        Err(error) => {
            assert!(!error.message.is_empty() && !error.fix.is_empty(), "refused without a word");
            return Played::Refused;
        }
    };
    let Ok(call) = Call::prepare(&plugin, None, &Arguments::None, &sandbox::small(), &Grants::default()) else {
        return Played::Refused;
    };
    let report = sandbox::run(&call);
    let (cpu_time, memory) = (report.cpu_time, report.memory_peak_bytes);
    assert!(cpu_time.as_secs() < 5 && memory <= 8 << 20, "{cpu_time:?}, {memory} bytes");
    Played::Ran
}
