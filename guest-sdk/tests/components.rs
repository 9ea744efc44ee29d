//! What the linker makes of the SDK, read back from the prebuilt components.

use std::{fs, path::Path};

use wit_component::DecodedWasm;
use wit_parser::{Resolve, TypeDefKind, World, WorldItem, WorldKey};

fn decode(component: &str) -> (Resolve, World) {
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(component));
    match wit_component::decode(&bytes.expect("a prebuilt component")).expect("a component that can be decoded") {
        DecodedWasm::Component(resolve, world) => {
            let world = resolve.worlds[world].clone();
            (resolve, world)
        }
        DecodedWasm::WitPackage(..) => unreachable!("{component} is no component"),
    }
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

#[test]
fn doc_comments_are_kept_in_the_component() {
    let (resolve, world) = decode("examples/quickstart/weblog.wasm");
    let Some(WorldItem::Function(purge)) = world.exports.get(&WorldKey::Name("purge".to_owned())) else {
        unreachable!("{:?}", world.exports)
    };
    let expected = "Pretends to delete old entries. Needs no grants, so it is good for a first try.";
    assert_eq!(purge.docs.contents.as_deref(), Some(expected));
    let Some(WorldItem::Type { id, .. }) = world.imports.get(&WorldKey::Name("counted".to_owned())) else {
        unreachable!("{:?}", world.imports)
    };
    let counted = &resolve.types[*id];
    assert_eq!(counted.docs.contents.as_deref(), Some("A name and how often it occurred."));
    let TypeDefKind::Record(record) = &counted.kind else { unreachable!("{counted:?}") };
    assert_eq!(record.fields[0].docs.contents.as_deref(), Some("A path or a client."));
}

#[test]
fn single_functions_and_a_module_of_them_are_one_component() {
    let (_, world) = decode("tests/guests/state.wasm");
    for name in ["count", "count-carefully", "reveal", "measure", "leak"] {
        assert!(world.exports.contains_key(&WorldKey::Name(name.to_owned())), "{name}: {:?}", world.exports);
    }
    // Both sides use it; it is there once.
    assert!(world.imports.contains_key(&WorldKey::Name("failure".to_owned())), "{:?}", world.imports);
}
