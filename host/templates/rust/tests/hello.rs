//! The jobs as plain functions: no WASM, no host.

use clockjack_sdk::testing;
use {{snake}}::jobs;

#[test]
fn hello_greets_and_says_so() {
    assert_eq!(jobs::hello("you".to_owned()), "hello you");
    assert_eq!(testing::take_log()[0].message, "greeting you");
}
