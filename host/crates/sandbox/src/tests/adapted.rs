//! Core modules with a WIT world: what the adapter makes of them.

use serde_json::json;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::*;
use crate::{CompileSettings, Compiler, Form, LoadCode};

const WORLD: &str = "package demo:job;
    world job {
        export count: func(text: string) -> u32;
        export echo: func(text: string) -> string;
        export ready: func() -> u32;
    }";

/// A module as `wit-bindgen` for C makes them: strings come in and go out through `cabi_realloc`, `_initialize` runs
/// first, and what it prints goes through preview 1.
const MODULE: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 4096))
    (global $ready (mut i32) (i32.const 0))
    (data (i32.const 64) "hello from a reactor\n")
    (func (export "_initialize") (global.set $ready (i32.const 7)))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $grown i32)
        ;; What the host makes smaller stays where it is.
        (if (local.get 0) (then (return (local.get 0))))
        (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
        (local.set $grown (global.get $top))
        (global.set $top (i32.add (global.get $top) (local.get 3)))
        (if (i32.lt_u (i32.mul (memory.size) (i32.const 65536)) (global.get $top))
            (then (drop (memory.grow (i32.const 2)))))
        (local.get $grown))
    (func (export "ready") (result i32)
        (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 21))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (global.get $ready))
    (func (export "count") (param i32 i32) (result i32) (local.get 1))
    (func (export "echo") (param i32 i32) (result i32)
        (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))"#;

fn with_world(module: &str, world: &str, encoding: StringEncoding) -> Vec<u8> {
    let mut bytes = wat::parse_str(format!("(module {module})")).expect("the test's text assembles");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("world.wit", world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut bytes, &resolve, world, encoding).unwrap();
    bytes
}

async fn call(plugin: &Arc<Plugin>, function: &str, args: serde_json::Value) -> Report {
    let args = Arguments::Listed(args.as_array().cloned().unwrap_or_default());
    let call = Call::prepare(plugin, Some(function), &args, &quick(), &Grants::default())
        .map_err(|problems| format!("{problems:?}"))
        .unwrap();
    SANDBOX.run(&call, facts()).await
}

#[tokio::test]
async fn a_module_with_a_world_has_typed_functions() {
    let bytes = with_world(MODULE, WORLD, StringEncoding::UTF8);
    let plugin = Arc::new(Plugin::from_bytes(&SANDBOX, &bytes, None, true).unwrap());
    assert_eq!(plugin.form, Form::Adapted);
    assert_eq!(plugin.n_bytes, u64::try_from(bytes.len()).unwrap(), "of the file, and not of what became of it");
    let names: Vec<_> = plugin.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["count", "echo", "ready"]);
    let echoed = call(&plugin, "echo", json!(["grüße"])).await;
    assert_eq!(echoed.outcome.output, Some(json!("grüße")), "{}", echoed.outcome.message);
    assert_eq!(call(&plugin, "count", json!(["grüße"])).await.outcome.output, Some(json!(7)));
    let ready = call(&plugin, "ready", json!([])).await;
    assert_eq!(ready.outcome.output, Some(json!(7)), "`_initialize` ran: {}", ready.outcome.message);
    assert_eq!(ready.stdout.text, "hello from a reactor\n");
}

#[tokio::test]
async fn strings_may_be_utf_16() {
    let bytes = with_world(MODULE, WORLD, StringEncoding::UTF16);
    let plugin = Arc::new(Plugin::from_bytes(&SANDBOX, &bytes, None, false).unwrap());
    assert_eq!(call(&plugin, "count", json!(["grüße"])).await.outcome.output, Some(json!(5)));
    assert_eq!(call(&plugin, "echo", json!(["grüße 🕰"])).await.outcome.output, Some(json!("grüße 🕰")));
}

#[test]
fn a_module_is_adapted_and_compiled_once() {
    let bytes = with_world(MODULE, WORLD, StringEncoding::UTF8);
    let folder = tempfile::tempdir().unwrap();
    let sandbox = |compiler| {
        let settings = EngineSettings {
            n_slots: 1,
            memory_bytes_max: 64 << 20,
            table_elements_max: 10_000,
            scratch: folder.path().to_owned(),
            compile: CompileSettings {
                compiler,
                cache: Some(folder.path().join("code")),
                ..CompileSettings::default()
            },
        };
        Sandbox::new(settings).unwrap()
    };
    // A compiler that is not there cannot have been asked.
    let none = || sandbox(Compiler::Child(folder.path().join("nothing")));
    let refused = Plugin::from_bytes(&none(), &bytes, None, false).map(drop).unwrap_err();
    assert_eq!(refused.code, LoadCode::Budget, "{refused}");
    let first = Plugin::from_bytes(&sandbox(Compiler::InProcess), &bytes, None, true).unwrap();
    let second = Plugin::from_bytes(&none(), &bytes, None, true).unwrap();
    assert_eq!((first.form, second.form), (Form::Adapted, Form::Adapted));
    let names = |plugin: &Plugin| plugin.functions.iter().map(|function| function.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second));
    assert!(Plugin::from_bytes(&none(), &[&bytes[..], b"\0\x02\x01x"].concat(), None, false).is_err(), "other bytes");
}

#[test]
fn what_does_not_keep_its_world_is_refused() {
    let told = |module: &str| match Plugin::from_bytes(
        &SANDBOX,
        &with_world(module, WORLD, StringEncoding::UTF8),
        None,
        false,
    ) {
        Ok(_) => "loaded".to_owned(),
        Err(error) => format!("{}: {}; {}", error.code, error.message, error.fix),
    };
    let clang = |tool: &str, version: &str, module: &str| {
        format!("(@producers (processed-by \"{tool}\" \"{version}\")) {module}")
    };
    let numbers = "(memory (export \"memory\") 1) (func (export \"count\") (param i32 i32) (result i32) i32.const 0) (func (export \"ready\") (result i32) i32.const 0)";
    let cases = [
        numbers.to_owned(),
        MODULE
            .replace("(export \"count\") (param i32 i32)", "(export \"count\") (param i64 i32)")
            .replace("(result i32) (local.get 1)", "(result i32) i32.const 1"),
        MODULE.replace("wasi_snapshot_preview1", "env"),
        clang("Debian clang", "14.0.6", &MODULE.replace("cabi_realloc", "my_realloc")),
        clang(
            "clang",
            "15.0.6 (https://github.com/llvm/llvm-project 088f33605d8a)",
            &MODULE.replace("cabi_realloc", "my_realloc"),
        ),
        clang("Debian clang", "14.0.6", MODULE),
        clang("clang", "19.1.5-wasi-sdk (https://github.com/llvm/llvm-project ab4b5a2db582)", MODULE),
    ];
    expect![[r#"
        load.invalid: the module cannot be made a component: failed to decode world from module: module was not valid: failed to find export of function `echo`; build it again with bindings and a WIT world of the same version; what it imports must be in that world or in WASI preview 1
        load.invalid: the module cannot be made a component: failed to decode world from module: module was not valid: failed to classify export `count`: failed to validate export for `count`: type mismatch for function `count`: expected `[I32, I32] -> [I32]` but found `[I64, I32] -> [I32]`; build it again with bindings and a WIT world of the same version; what it imports must be in that world or in WASI preview 1
        load.invalid: the module cannot be made a component: failed to decode world from module: module was not valid: failed to resolve import `env::fd_write`: module requires an import interface named `env`; build it again with bindings and a WIT world of the same version; what it imports must be in that world or in WASI preview 1
        load.invalid: the module was built by clang 14.0.6 and exports no `cabi_realloc`: the C library of that time would overwrite memory that the adapter to WASI 0.2 uses; build it with clang 15.0.7 or later (wasi-sdk 19), or export `cabi_realloc`, as `wit-bindgen c` does
        load.invalid: the module was built by clang 15.0.6 and exports no `cabi_realloc`: the C library of that time would overwrite memory that the adapter to WASI 0.2 uses; build it with clang 15.0.7 or later (wasi-sdk 19), or export `cabi_realloc`, as `wit-bindgen c` does
        loaded
        loaded"#]].assert_eq(&cases.map(|module| told(&module)).join("\n"));
}

#[test]
fn a_damaged_world_is_refused_and_never_a_panic() {
    let whole = with_world(MODULE, WORLD, StringEncoding::UTF8);
    for end in 9..whole.len() {
        drop(crate::core_module::role(&whole[..end]).and_then(|_| crate::core_module::adapted(&whole[..end])));
    }
    for place in 8..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x55;
        drop(crate::core_module::role(&flipped).and_then(|_| crate::core_module::adapted(&flipped)));
    }
}
