//! What the linker makes of the SDK, read back from the prebuilt components.

use std::{fs, path::Path};

use wit_component::DecodedWasm;
use wit_parser::{Resolve, World};

fn decode(component: &str) -> (Resolve, World) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(component);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&bytes).unwrap() else {
        panic!("{component} is no component")
    };
    let world = resolve.worlds[world].clone();
    (resolve, world)
}

/// The interfaces of `clockjack:job` that a component imports.
fn job_imports(component: &str) -> Vec<String> {
    let (resolve, world) = decode(component);
    let names = world.imports.keys().map(|key| resolve.name_world_key(key));
    names.filter_map(|name| name.strip_prefix("clockjack:job/").map(ToOwned::to_owned)).collect()
}

#[test]
fn an_interface_is_imported_only_where_it_is_used() {
    assert_eq!(job_imports("tests/guests/bench-empty.wasm"), [""; 0]);
    assert_eq!(job_imports("tests/guests/witness.wasm"), ["types@0.1.0", "run@0.1.0"]);
    assert_eq!(job_imports("tests/guests/state.wasm"), ["run@0.1.0", "log@0.1.0", "state@0.1.0", "secrets@0.1.0"]);
}
