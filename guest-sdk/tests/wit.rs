//! The SDK and `wit/` say the same: the committed world of the imports is current, and the encoder of exports writes
//! what the tools of the component model read.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use clockjack_sdk::{
    Failure, Value,
    rt::{Function, Payload, Type, World, docs_len, encode, encode_docs, encoded_len},
};
use wit_component::{StringEncoding, WitPrinter};
use wit_parser::{PackageMetadata, Resolve, WorldItem, decoding::decode_world};

#[test]
fn the_world_of_the_imports_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder.join("../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("job")).unwrap();
    let current = wit_component::metadata::encode(&resolve, world, StringEncoding::UTF8, None).unwrap();
    let committed = folder.join("src/rt/job.world");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&committed, &current).unwrap();
    }
    assert!(
        current == fs::read(&committed).unwrap(),
        "src/rt/job.world is not of wit/: run `UPDATE_EXPECT=1 cargo test --test wit`, then compare src/rt/imports.rs"
    );
}

/// What somebody wants.
#[derive(Value)]
struct Order {
    /// The "number"
    /// of C:\orders.
    id: u64,
    note: Option<String>,
    parts: Vec<Part>,
    payment: Payment,
    r#type: Kind,
}

#[derive(Value)]
struct Part {
    http_status: u16,
    size: (f32, f64),
}

#[derive(Value)]
enum Payment {
    /// Coins and notes.
    Cash,
    ByCard(String),
    Split(u32, u32),
}

#[derive(Value)]
enum Kind {
    Small,
    VeryLarge,
}

#[derive(Value)]
#[wit(flags)]
struct Marks {
    fragile: bool,
    this_side_up: bool,
}

const WORLD: World = World {
    name: "shop",
    functions: &[
        Function {
            name: "place",
            params: &[("order", &<Order as Value>::TYPE), ("again", &<Order as Value>::TYPE)],
            result: <Result<u64, Failure> as Payload>::TYPE,
            docs: &[" Places an order."],
            param_docs: &[&[" What to buy."], &[]],
        },
        Function {
            name: "mark",
            params: &[("marks", &<Marks as Value>::TYPE), ("letter", &<char as Value>::TYPE)],
            result: <Result<(), ()> as Payload>::TYPE,
            docs: &[],
            param_docs: &[&[], &[]],
        },
        Function {
            name: "ping",
            params: &[("patience", &<Duration as Value>::TYPE)],
            result: <Option<SystemTime> as Payload>::TYPE,
            docs: &[],
            param_docs: &[&[]],
        },
    ],
};

const EXPECTED: &str = "\
package clockjack:plugin;

world shop {
  record part {
    http-status: u16,
    size: tuple<f32, f64>,
  }
  variant payment {
    cash,
    by-card(string),
    split(tuple<u32, u32>),
  }
  enum kind {
    small,
    very-large,
  }
  record order {
    id: u64,
    note: option<string>,
    parts: list<part>,
    payment: payment,
    %type: kind,
  }
  variant failure {
    permanent(string),
    retry(string),
    retry-after(tuple<u64, string>),
    skipped(string),
  }
  flags marks {
    fragile,
    this-side-up,
  }
  type millis = u64;
  type instant = u64;

  export place: func(order: order, again: order) -> result<u64, failure>;
  export mark: func(marks: marks, letter: char) -> result;
  export ping: func(patience: millis) -> option<instant>;
}
";

#[test]
fn the_encoded_world_is_read_back() {
    let bytes = encode::<{ encoded_len(&WORLD) }>(&WORLD);
    let (resolve, world) = decode_world(&bytes).unwrap();
    let package = resolve.worlds[world].package.unwrap();
    let mut printer = WitPrinter::default();
    printer.print(&resolve, package, &[]).unwrap();
    let text = printer.output.to_string();
    let text: String =
        text.lines().filter(|line| !line.trim_start().starts_with("///")).map(|line| format!("{line}\n")).collect();
    assert_eq!(squeeze(&text), squeeze(EXPECTED), "{text}");
}

/// Without blank lines, whose places the printer chooses.
fn squeeze(text: &str) -> String {
    text.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_encoded_docs_are_what_the_tools_of_the_component_model_read() {
    let docs = encode_docs::<{ docs_len(&WORLD) }>(&WORLD);
    assert_eq!(docs[0], 1);
    let text = std::str::from_utf8(&docs[1..]).unwrap();
    assert!(PackageMetadata::decode(&docs).is_ok(), "{text}");
    for part in [
        r#""order":{"docs":"What somebody wants.","items":{"id":"The \"number\"\nof C:\\orders."}}"#,
        r#""payment":{"items":{"cash":"Coins and notes."}}"#,
        r#""millis":{"docs":"A length of time in milliseconds."}"#,
        r#""place":{"docs":"Places an order.\n\n- `order`: What to buy."}"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("\"part\""), "{text}");
    assert!(!text.contains("\"mark\""), "{text}");
}

#[test]
fn more_types_than_one_byte_can_number_are_read_back() {
    // Every parameter declares a list of its own: type indices pass 63 and 127.
    const LIST: Type = Type::List(&<String as Value>::TYPE);
    const FUNCTION: Function =
        Function { name: "f", params: &[("a", &LIST); 1], result: Some(&LIST), docs: &[], param_docs: &[] };
    const NAMES: [&str; 26] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v",
        "w", "x", "y", "z",
    ];
    const FUNCTIONS: [Function; 26] = {
        let mut functions = [FUNCTION; 26];
        let mut i = 0;
        while i < 26 {
            functions[i] = Function {
                name: NAMES[i],
                params: &[("a", &LIST), ("b", &LIST), ("c", &LIST), ("d", &LIST), ("e", &LIST), ("f", &LIST)],
                ..FUNCTION
            };
            i += 1;
        }
        functions
    };
    const WIDE: World = World { name: "wide", functions: &FUNCTIONS };
    let bytes = encode::<{ encoded_len(&WIDE) }>(&WIDE);
    let (resolve, world) = decode_world(&bytes).unwrap();
    let n_params: HashMap<String, usize> = resolve.worlds[world]
        .exports
        .values()
        .filter_map(|item| match item {
            WorldItem::Function(function) => Some((function.name.clone(), function.params.len())),
            _ => None,
        })
        .collect();
    assert_eq!(n_params.len(), 26);
    assert!(n_params.values().all(|&n| n == 6));
}
