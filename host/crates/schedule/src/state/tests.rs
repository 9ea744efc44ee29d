//! Drafts over books: what an attempt sees, what is kept of it, and what others wrote meanwhile.

use super::*;

const LIMIT: u64 = 100;

fn draft(book: &SharedBook) -> Draft {
    Draft::new(book.clone(), LIMIT)
}

fn keep(draft: &Draft) -> Result<StateChange, Refusal> {
    let book = draft.book();
    let change = book.settle(draft)?;
    book.arrived(&change);
    Ok(change)
}

/// A book in which each key holds its own name.
fn book(keys: &[&str]) -> SharedBook {
    let book = SharedBook::default();
    let mut draft = draft(&book);
    keys.iter().for_each(|key| draft.set(key, key.as_bytes().to_vec()).unwrap());
    keep(&draft).unwrap();
    book
}

fn value(draft: &Draft, key: &str) -> Option<String> {
    draft.get(key).unwrap().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

fn version(draft: &Draft, key: &str) -> Option<u64> {
    draft.get(key).unwrap().map(|entry| entry.version)
}

#[test]
fn writes_are_seen_by_their_attempt_alone_until_they_are_kept() {
    let book = book(&["a"]);
    let (mut first, second) = (draft(&book), draft(&book));
    first.set("b", b"new".to_vec()).unwrap();
    first.delete("a").unwrap();
    assert_eq!((value(&first, "a"), value(&first, "b")), (None, Some("new".to_owned())));
    assert_eq!((value(&second, "a"), value(&second, "b")), (Some("a".to_owned()), None));
    let change = book.settle(&first).unwrap();
    assert_eq!(value(&second, "b"), None, "what is on its way can still get lost");
    book.arrived(&change);
    assert_eq!((value(&second, "a"), value(&second, "b")), (None, Some("new".to_owned())));
}

#[test]
fn versions_grow_and_never_come_back() {
    let book = book(&["a"]);
    let mut seen = vec![version(&draft(&book), "a").unwrap()];
    for _ in 0..3 {
        let mut gone = draft(&book);
        gone.delete("a").unwrap();
        keep(&gone).unwrap();
        let mut dropped = draft(&book);
        dropped.set("a", Vec::new()).unwrap();
        let mut new = draft(&book);
        new.set("a", Vec::new()).unwrap();
        let told = version(&new, "a").unwrap();
        keep(&new).unwrap();
        assert_eq!(version(&draft(&book), "a"), Some(told), "the attempt saw the version that was kept");
        seen.push(told);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[test]
fn what_began_first_and_is_kept_last_has_the_greater_version() {
    let book = book(&[]);
    let (mut first, mut second) = (draft(&book), draft(&book));
    first.set("a", b"first".to_vec()).unwrap();
    second.set("a", b"second".to_vec()).unwrap();
    let earlier = keep(&second).unwrap();
    let later = keep(&first).unwrap();
    assert!(earlier.version < later.version);
    assert_eq!(value(&draft(&book), "a").as_deref(), Some("first"));
}

#[test]
fn a_condition_is_looked_at_at_once_and_again_when_it_is_kept() {
    let book = book(&["a"]);
    let (mut first, mut second) = (draft(&book), draft(&book));
    let read = version(&first, "a");
    assert_eq!(first.compare_and_set("a", None, Vec::new()), Err(DraftError::Conflict(read)));
    first.compare_and_set("a", read, b"first".to_vec()).unwrap();
    second.compare_and_set("a", read, b"second".to_vec()).unwrap();
    let own = version(&second, "a");
    second.compare_and_set("a", own, b"second again".to_vec()).unwrap();
    let on_its_way = book.settle(&first).unwrap();
    let refused = book.settle(&second).unwrap_err();
    let Refusal::Conflict { key, version: now } = refused else { panic!("{refused}") };
    assert_eq!((key.as_str(), now), ("a", Some(on_its_way.version)), "also while the first one is on its way");
    book.lost(&on_its_way, None);
    assert_eq!(keep(&second).map(drop), Ok(()), "and where it got lost, the condition holds again");
}

#[test]
fn a_key_that_must_not_be_there_is_made_by_one() {
    let book = book(&[]);
    let mut drafts: Vec<_> = (0..3).map(|_| draft(&book)).collect();
    drafts.iter_mut().for_each(|draft| draft.compare_and_set("a", None, Vec::new()).unwrap());
    assert_eq!(drafts.iter().filter(|draft| keep(draft).is_ok()).count(), 1);
}

#[test]
fn the_limit_counts_keys_and_values_and_nothing_is_lost_at_it() {
    let book = book(&[]);
    let mut full = draft(&book);
    full.set("a", vec![1; 99]).unwrap();
    assert_eq!(full.set("b", Vec::new()), Err(DraftError::Quota(LIMIT)));
    assert_eq!(full.set("a", vec![2; 100]), Err(DraftError::Quota(LIMIT)));
    assert_eq!(full.get("a").unwrap().unwrap().value[..], [1; 99], "what was there stays");
    full.set("a", vec![3; 98]).unwrap();
    full.set("b", Vec::new()).unwrap();
    keep(&full).unwrap();
    let mut next = draft(&book);
    assert_eq!(next.set("c", Vec::new()), Err(DraftError::Quota(LIMIT)));
    next.delete("b").unwrap();
    next.set("c", Vec::new()).unwrap();
    keep(&next).unwrap();
    assert_eq!(draft(&book).list("", None, 9), ["a", "c"]);
}

#[test]
fn two_that_fill_the_state_together_are_not_both_kept() {
    let book = book(&[]);
    let (mut first, mut second) = (draft(&book), draft(&book));
    first.set("a", vec![0; 60]).unwrap();
    second.set("b", vec![0; 60]).unwrap();
    keep(&first).unwrap();
    assert_eq!(keep(&second), Err(Refusal::Quota { bytes_max: LIMIT }));
    let mut smaller = Draft::new(book.clone(), 10);
    smaller.set("a", vec![0; 50]).unwrap();
    keep(&smaller).expect("with a lower limit the state may still shrink");
}

#[test]
fn keys_are_bounded_in_length_and_number() {
    let book = SharedBook::default();
    let mut draft = Draft::new(book, u64::MAX);
    for key in [String::new(), "k".repeat(257), "\u{fc}".repeat(129)] {
        assert_eq!(draft.set(&key, Vec::new()), Err(DraftError::Key(key.len())));
        assert_eq!(draft.get(&key), Err(DraftError::Key(key.len())));
        assert_eq!(draft.delete(&key), Err(DraftError::Key(key.len())));
        assert_eq!(draft.compare_and_set(&key, None, Vec::new()), Err(DraftError::Key(key.len())));
    }
    draft.set(&"k".repeat(256), Vec::new()).unwrap();
    (1..KEYS_MAX).for_each(|number| draft.set(&number.to_string(), Vec::new()).unwrap());
    assert_eq!(draft.set("one more", Vec::new()), Err(DraftError::Keys));
    draft.set("1", b"changed".to_vec()).expect("those that are there can still be written");
    keep(&draft).unwrap();
}

#[test]
fn what_is_written_and_deleted_again_takes_no_memory() {
    let book = SharedBook::default();
    let mut draft = draft(&book);
    for number in 0..10 * KEYS_MAX {
        draft.set(&number.to_string(), Vec::new()).unwrap();
        draft.delete(&number.to_string()).unwrap();
    }
    assert!(draft.is_empty());
}

#[test]
fn keys_are_listed_in_order_with_the_attempts_own() {
    let book = book(&["a", "b/1", "b/2", "b/4", "c"]);
    let mut draft = draft(&book);
    draft.set("b/3", Vec::new()).unwrap();
    draft.set("b/2", Vec::new()).unwrap();
    draft.delete("b/4").unwrap();
    assert_eq!(draft.list("", None, 99), ["a", "b/1", "b/2", "b/3", "c"]);
    assert_eq!(draft.list("b/", None, 2), ["b/1", "b/2"]);
    assert_eq!(draft.list("b/", Some("b/1"), 99), ["b/2", "b/3"]);
    assert_eq!(draft.list("b/", Some("a"), 99), ["b/1", "b/2", "b/3"]);
    assert_eq!(draft.list("b/", Some("c"), 99), Vec::<String>::new());
    assert_eq!(draft.list("", None, 0), Vec::<String>::new());
}

#[test]
fn a_book_that_lost_a_change_goes_on_from_what_the_ledger_has() {
    let book = book(&["a"]);
    let mut first = draft(&book);
    first.set("b", Vec::new()).unwrap();
    let unclear = book.settle(&first).unwrap();
    let entries = BTreeMap::from([("b".to_owned(), Entry { value: Arc::from([7]), version: unclear.version })]);
    book.lost(&unclear, Some(Kept { version: unclear.version, entries }));
    assert_eq!(draft(&book).list("", None, 9), ["b"]);
    let mut next = draft(&book);
    next.set("c", Vec::new()).unwrap();
    assert!(unclear.version < keep(&next).unwrap().version, "no version is given twice");
}
