//! What text becomes, and what is said of text that cannot be read.

use super::*;
use crate::diagnostic::Source;

fn tell(text: &str) -> String {
    let (node, diagnostics) = parse(0, text);
    let sources = [Source::new("m.yaml", text)];
    let mut told: Vec<String> = diagnostics
        .into_iter()
        .map(|d| {
            let (line, column) = d.span.position(&sources);
            format!("{line}:{column} {d}")
        })
        .collect();
    told.push(if node.is_some() { "read".to_owned() } else { "not read".to_owned() });
    told.join("\n")
}

#[test]
fn each_value_knows_its_place() {
    let text = "jobs:\n  hello: { plugin: ./a.wasm, every: 30 }\n  list: [a, \"b c\"]\n";
    let (node, diagnostics) = parse(0, text);
    assert_eq!(diagnostics.all(), []);
    let node = node.unwrap();
    let place = |path: &str| {
        let span = node.at_path(path).span;
        &text[span.start..span.end]
    };
    assert_eq!(place("jobs.hello.plugin"), "./a.wasm");
    assert_eq!(place("jobs.hello.every"), "30");
    assert_eq!(place("jobs.list[1]"), "\"b c\"");
    let inside = node.at_path("jobs.list[1]").span_within(2, 3);
    assert_eq!(&text[inside.start..inside.end], "c");
}

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    expect_test::expect![[r#"
        3:3 error[manifest.duplicate_key]: `a` is written twice in the same map, the first time in line 2; rename or remove one of them; ids are unique
        read"#]]
    .assert_eq(&tell("jobs:\n  a: 1\n  a: 2\n"));
    expect_test::expect![[r#"
        1:7 error[manifest.syntax]: `*` begins an alias in YAML, and no anchor of that name exists; put the value in quotes, for example "*/5 * * * *"
        not read"#]].assert_eq(&tell("cron: */5 * * * *\n"));
    expect_test::expect![[r#"
        2:2 error[manifest.syntax]: illegal placement of ':' indicator; look for a value that needs quotes because it holds `: `, or for a line with the wrong indent
        not read"#]]
    .assert_eq(&tell("a: [1, 2\nb: 3\n"));
    expect_test::expect![[r#"
        3:1 error[manifest.syntax]: a manifest is one YAML document; remove the `---` line, or move what follows it into a file of its own
        not read"#]].assert_eq(&tell("a: 1\n---\nb: 2\n"));
    expect_test::expect![[r#"
        2:2 error[manifest.syntax]: YAML is indented with spaces, not with tabs; replace the tab by spaces
        not read"#]]
    .assert_eq(&tell("a:\n\t- b\n"));
    expect_test::expect!["read"].assert_eq(&tell(""));
}

#[test]
fn every_key_that_is_written_twice_is_told_with_both_places() {
    expect_test::expect![[r#"
        2:14 error[manifest.duplicate_key]: `c` is written twice in the same map, the first time in line 2; rename or remove one of them; ids are unique
        3:3 error[manifest.duplicate_key]: `b` is written twice in the same map, the first time in line 2; rename or remove one of them; ids are unique
        5:1 error[manifest.duplicate_key]: `a` is written twice in the same map, the first time in line 1; rename or remove one of them; ids are unique
        6:1 error[manifest.duplicate_key]: `a` is written twice in the same map, the first time in line 1; rename or remove one of them; ids are unique
        read"#]]
    .assert_eq(&tell("a: &x\n  b: { c: 1, c: 2 }\n  'b': 3\nd: *x\na: 4\na: 5\n"));
    expect_test::expect![[r#"
        2:1 error[manifest.duplicate_key]: `1` is written twice in the same map; rename or remove one of them; ids are unique
        read"#]].assert_eq(&tell("1: a\n1: b\n"));
}

#[test]
fn hostile_text_is_refused_quickly() {
    let nested = "[".repeat(100_000);
    expect_test::expect![[r#"
        1:33 error[manifest.too_complex]: the manifest is nested deeper than 32 levels or holds more than 50000 values; flatten it, or split it into several files
        not read"#]]
    .assert_eq(&tell(&nested));
    let flow = format!("a: {}{}", "[".repeat(40), "]".repeat(40));
    expect_test::expect![[r#"
        1:36 error[manifest.too_complex]: the manifest is nested deeper than 32 levels or holds more than 50000 values; flatten it, or split it into several files
        not read"#]]
    .assert_eq(&tell(&flow));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    expect_test::expect![[r#"
        5:25 error[manifest.too_complex]: the manifest is nested deeper than 32 levels or holds more than 50000 values; flatten it, or split it into several files
        not read"#]].assert_eq(&tell(&bomb));
    expect_test::expect![[r#"
        1:1 error[manifest.too_large]: the manifest has 262145 bytes; at most 262144 are read from one file; split it into several files and list them under `include:`, or pass each with `-f`
        not read"#]].assert_eq(&tell(&"x".repeat(SOURCE_BYTES_MAX + 1)));
}

#[test]
fn scalars_keep_their_kind() {
    let (node, _) = parse(0, "[yes, true, 18:00, 1e3, 0x1f, ~, 18446744073709551615, .nan, 007, '5']");
    let kinds: Vec<_> = node.unwrap().as_list().unwrap().iter().map(|n| n.to_json().to_string()).collect();
    expect_test::expect![[r#""yes" true "18:00" 1000.0 31 null 18446744073709551615 ".nan" 7.0 "5""#]]
        .assert_eq(&kinds.join(" "));
}
