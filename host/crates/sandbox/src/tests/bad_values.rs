//! Values that break the rules of the component model, in every place where a guest hands one over: each is a trap or a
//! limit of that attempt, told by its code, and costs the host nothing.

use super::*;

/// A component whose function takes a string and gives back what stands at 0; its allocator gives `allocated`.
fn taking_text(allocated: &str) -> String {
    format!(
        "(component (core module $m (memory (export \"mem\") 1)
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) {allocated})
             (func (export \"run\") (param i32 i32)))
           (core instance $i (instantiate $m))
           (func (export \"run\") (param \"text\" string)
             (canon lift (core func $i \"run\") (memory (core memory $i \"mem\")) (realloc (core func $i \"realloc\")))))"
    )
}

/// A component that logs: what it hands over is what the core code pushes (level, message, fields).
fn logging(pushed: &str) -> String {
    format!(
        "(component
           (import \"clockjack:job/log@0.1.0\" (instance $log
             (type $l' (enum \"trace\" \"debug\" \"info\" \"warn\" \"error\")) (export \"level\" (type $l (eq $l')))
             (type $f (list (tuple string string)))
             (export \"log\" (func (param \"level\" $l) (param \"message\" string) (param \"fields\" $f)))))
           (core module $memory (memory (export \"mem\") 1) (data (i32.const 16) \"\\ff\\fe\"))
           (core instance $mem (instantiate $memory))
           (core func $log (canon lower (func $log \"log\") (memory (core memory $mem \"mem\"))))
           (core module $m (import \"host\" \"log\" (func $log (param i32 i32 i32 i32 i32))) (func (export \"run\") {pushed} (call $log)))
           (core instance $i (instantiate $m (with \"host\" (instance (export \"log\" (func $log))))))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    )
}

async fn told(wat: &str, args: Arguments) -> String {
    let plugin = load(wat, false).unwrap();
    let limits = Limits { cpu_time: Duration::from_secs(1), timeout: Duration::from_secs(60), ..Limits::default() };
    let call = Call::prepare(&plugin, None, &args, &limits, &Grants::default())
        .map_err(|problems| format!("{problems:?}"))
        .unwrap();
    let report = SANDBOX.run(&call, facts()).await;
    let output = report.outcome.output.map_or_else(String::new, |output| format!(" {output}"));
    format!("{}: {}{output}", report.outcome.code, report.outcome.message)
}

#[tokio::test]
async fn results() {
    let at_zero = |ty: &str, bytes: &str| returning(ty, &format!("(data (i32.const 0) \"{bytes}\")"));
    let encoded = |encoding: &str, bytes: &str| {
        at_zero("string", bytes)
            .replace("(memory (core memory $i \"mem\"))", &format!("(memory (core memory $i \"mem\")) {encoding}"))
    };
    let cases = [
        at_zero("(list u8)", "\\00\\00\\00\\00\\ff\\ff\\ff\\ff"),
        at_zero("(list u64)", "\\00\\00\\00\\00\\ff\\ff\\ff\\ff"),
        at_zero("(list u64)", "\\04\\00\\00\\00\\01\\00\\00\\00"),
        at_zero("(list bool)", "\\f0\\ff\\00\\00\\20\\00\\00\\00"),
        at_zero("string", "\\ff\\ff\\ff\\ff\\01\\00\\00\\00"),
        at_zero("string", "\\08\\00\\00\\00\\03\\00\\00\\00\\ed\\a0\\80"),
        encoded("string-encoding=utf16", "\\08\\00\\00\\00\\01\\00\\00\\00\\00\\d8"),
        encoded("string-encoding=utf16", "\\09\\00\\00\\00\\01\\00\\00\\00"),
        encoded("string-encoding=latin1+utf16", "\\08\\00\\00\\00\\01\\00\\00\\80\\00\\dc"),
        encoded("string-encoding=latin1+utf16", "\\08\\00\\00\\00\\ff\\ff\\ff\\ff"),
        at_zero("(tuple u32 char)", "\\00\\00\\00\\00\\00\\d8\\00\\00"),
        at_zero("(tuple u32 char)", "\\00\\00\\00\\00\\00\\00\\11\\00"),
        at_zero("(option u32)", "\\02"),
        at_zero("(result u32 (error u32))", "\\ff"),
        at_zero("(tuple u32 bool)", "\\01\\00\\00\\00\\07"),
    ];
    let mut lines = Vec::new();
    for case in cases {
        lines.push(told(&case, Arguments::None).await);
    }
    expect![[r#"
        trap.abi: list pointer/length out of bounds of memory
        trap.abi: list pointer/length out of bounds of memory
        trap.abi: list pointer is not aligned
        trap.abi: list pointer/length out of bounds of memory
        trap.abi: string pointer/length out of bounds of memory
        trap.abi: invalid utf-8 sequence of 1 bytes from index 0
        trap.abi: unpaired surrogate found: d800
        trap.abi: string pointer not aligned to 2
        trap.abi: unpaired surrogate found: dc00
        trap.abi: string pointer/length out of bounds of memory
        trap.abi: converted integer out of range for `char`
        trap.abi: converted integer out of range for `char`
        trap.abi: discriminant 2 out of range [0..2)
        trap.abi: discriminant 255 out of range [0..2)
        succeeded:  [1,true]"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn results_that_are_words() {
    let word = |ty: &str, value: &str| {
        format!(
            "(component (core module $m (func (export \"run\") (result i32) (i32.const {value})))
               (core instance $i (instantiate $m)) (type $w' {ty}) (export $w \"word\" (type $w'))
               (func (export \"run\") (result $w) (canon lift (core func $i \"run\"))))"
        )
    };
    let cases = [
        word("(enum \"a\" \"b\")", "2"),
        word("(enum \"a\" \"b\")", "-1"),
        word("(flags \"a\" \"b\")", "-1"),
        word("(variant (case \"a\") (case \"b\"))", "256"),
    ];
    let mut lines = Vec::new();
    for case in cases {
        lines.push(told(&case, Arguments::None).await);
    }
    expect![[r#"
        trap.abi: discriminant 2 out of range [0..2)
        trap.abi: discriminant 4294967295 out of range [0..2)
        succeeded:  ["a","b"]
        trap.abi: discriminant 256 out of range [0..2)"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn a_large_list_is_a_limit_and_not_memory_of_the_host() {
    // 60 MiB of bytes that are really there: each would be a value of the host.
    let large = "(component (core module $m (memory (export \"mem\") 980)
             (data (i32.const 0) \"\\08\\00\\00\\00\\00\\00\\c0\\03\")
             (func (export \"run\") (result i32) (i32.const 0)))
           (core instance $i (instantiate $m))
           (func (export \"run\") (result (list u8)) (canon lift (core func $i \"run\") (memory (core memory $i \"mem\")))))";
    let text = large.replace("(list u8)", "string");
    let lines = [told(large, Arguments::None).await, told(&text, Arguments::None).await];
    expect![[r#"
        hostcall.limit: the values of one call between guest and host were larger than 16MiB as the host holds them (40 bytes for each element of a list), and no key changes that
        hostcall.limit: the values of one call between guest and host were larger than 16MiB as the host holds them (40 bytes for each element of a list), and no key changes that"#]].assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn arguments_into_memory_that_is_not_there() {
    let text = |length: usize| Arguments::Listed(vec!["x".repeat(length).into()]);
    let lines = [
        told(&taking_text("(i32.const 65530)"), text(100)).await,
        told(&taking_text("(i32.const -1)"), text(100)).await,
        told(&taking_text("unreachable"), text(100)).await,
        told(&taking_text("(loop (br 0)) (i32.const 0)"), text(100)).await,
    ];
    expect![[r#"
        trap.abi: realloc return: beyond end of memory
        trap.abi: realloc return: beyond end of memory
        trap.unreachable: wasm trap: wasm `unreachable` instruction executed
        timeout.cpu: the guest used up its processor time of 1s (`limits.cpu_time`)"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn what_is_handed_to_imports() {
    let push = |level: i32, message: (i32, i32), fields: (i32, i32)| {
        format!(
            "(i32.const {level}) (i32.const {}) (i32.const {}) (i32.const {}) (i32.const {})",
            message.0, message.1, fields.0, fields.1
        )
    };
    let cases = [
        push(2, (0, 4), (0, 0)),
        push(5, (0, 4), (0, 0)),
        push(2, (16, 2), (0, 0)),
        push(2, (65_530, 100), (0, 0)),
        push(2, (0, -1), (0, 0)),
        push(2, (0, 0), (0, -1)),
        push(2, (0, 0), (3, 1)),
        push(2, (0, 0), (0, 4_096)),
    ];
    let mut lines = Vec::new();
    for case in cases {
        lines.push(told(&logging(&case), Arguments::None).await);
    }
    expect![[r#"
        succeeded: 
        trap.abi: unexpected discriminant: 5
        trap.abi: invalid utf-8 sequence of 1 bytes from index 0
        trap.abi: string pointer/length out of bounds of memory
        trap.abi: string pointer/length out of bounds of memory
        trap.abi: list pointer/length out of bounds of memory
        trap.abi: list pointer is not aligned
        succeeded: "#]]
    .assert_eq(&lines.join("\n"));
}
