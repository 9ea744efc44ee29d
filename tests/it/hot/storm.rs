//! Many changes at once: what runs never suffers.

use std::fs;

use super::{all_succeeded, answers, gives, pass, put, replace, scene};
use crate::hosted::{ends, wait_next};

#[test]
fn a_hundred_changes_a_second_lose_no_slot() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    let whole = answers(50);
    for n in 0..400_u32 {
        match n % 4 {
            0 => replace(&hosted, "p.wasm", &answers(n)),
            1 => hosted.scene.put("p.wasm", &whole[..usize::try_from(n).unwrap_or(0) % whole.len()]),
            2 => put(&hosted, "", if n % 8 == 2 { ", labels: { a: b }" } else { ", evry: 1s" }),
            _ => drop(fs::remove_file(hosted.scene.path("p.wasm"))),
        }
        pass(10);
    }
    put(&hosted, "", "");
    replace(&hosted, "p.wasm", &answers(1_000));
    gives(&mut host, 1_000);
    all_succeeded(&hosted, host);
}

/// Who writes slowly is waited for; what is read all the same is refused and read again.
#[test]
fn a_file_that_is_written_slowly_is_taken_when_it_is_whole() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    let whole = answers(2);
    for n in 1..=whole.len() {
        // A byte at a time, ever longer than a file is waited for.
        if n % 4 == 0 || n == whole.len() {
            hosted.scene.put("p.wasm", &whole[..n]);
            pass(70);
        }
    }
    gives(&mut host, 2);
    wait_next(&mut host, "a run", ends("beat"));
    all_succeeded(&hosted, host);
}
