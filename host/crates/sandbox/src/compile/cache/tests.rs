//! The cache against whoever changes what lies in it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use rustix::fs::{Timespec, Timestamps};

use super::*;
use crate::plugin::Form;

fn compiled(code: &[u8]) -> Compiled {
    Compiled::new(Form::Component, Effort::Full, &[b"{}".to_vec()], code).unwrap()
}

fn key(n: u8) -> Key {
    Key([n; 32])
}

fn read(cache: &Cache, n: u8) -> Option<Vec<u8>> {
    cache.read(&key(n)).map(|compiled| compiled.code().to_vec())
}

fn opened() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    (folder, cache)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_kept_is_found_by_its_key_alone() {
    let (_folder, cache) = opened();
    assert_eq!(read(&cache, 1), None);
    cache.write(&key(1), &compiled(b"one"));
    assert_eq!(read(&cache, 1).unwrap(), b"one");
    assert_eq!(read(&cache, 2), None);
    let again = Cache::open(&cache.folder).unwrap();
    assert_eq!(read(&again, 1).unwrap(), b"one", "after a restart");
    let mode = |name: &str| fs::metadata(cache.folder.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode(""), mode(SECRET), mode(&key(1).file())), (0o700, 0o600, 0o600));
}

#[test]
fn a_changed_byte_anywhere_is_seen_and_the_entry_removed() {
    let (_folder, cache) = opened();
    cache.write(&key(1), &compiled(b"code"));
    let path = cache.folder.join(key(1).file());
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        set_mode(&path, 0o600);
        assert_eq!(read(&cache, 1), None, "byte {place}");
        assert!(!path.exists(), "byte {place}");
        create_private(&path).unwrap().write_all(&whole[..place]).unwrap();
        assert_eq!(read(&cache, 1), None, "cut at {place}");
    }
}

#[test]
fn an_entry_under_another_name_is_not_used() {
    let (_folder, cache) = opened();
    cache.write(&key(1), &compiled(b"one"));
    fs::rename(cache.folder.join(key(1).file()), cache.folder.join(key(2).file())).unwrap();
    assert_eq!(read(&cache, 2), None);
}

#[test]
fn another_secret_makes_all_entries_foreign() {
    let (_folder, cache) = opened();
    cache.write(&key(1), &compiled(b"one"));
    fs::remove_file(cache.folder.join(SECRET)).unwrap();
    let again = Cache::open(&cache.folder).unwrap();
    assert_ne!(again.secret, cache.secret);
    assert_eq!(read(&again, 1), None);
}

#[test]
fn what_others_could_write_is_not_trusted() {
    let (_folder, cache) = opened();
    cache.write(&key(1), &compiled(b"one"));
    let path = cache.folder.join(key(1).file());
    set_mode(&path, 0o644);
    assert_eq!(read(&cache, 1), None, "an entry");
    set_mode(&cache.folder.join(SECRET), 0o640);
    assert!(Cache::open(&cache.folder).is_none(), "the secret");
    set_mode(&cache.folder.join(SECRET), 0o600);
    set_mode(&cache.folder, 0o755);
    assert!(Cache::open(&cache.folder).is_none(), "the folder");
    set_mode(&cache.folder, 0o700);
    let link = cache.folder.with_file_name("link");
    symlink(&cache.folder, &link).unwrap();
    assert!(Cache::open(&link).is_none(), "a link");
    assert!(Cache::open(&cache.folder).is_some());
    fs::write(cache.folder.join(SECRET), "short").unwrap();
    assert!(Cache::open(&cache.folder).is_none(), "a secret that is none");
}

#[test]
fn an_entry_that_is_a_link_or_a_pipe_is_not_read() {
    let (folder, cache) = opened();
    cache.write(&key(1), &compiled(b"one"));
    let path = cache.folder.join(key(1).file());
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(read(&cache, 1), None);
    drop(fs::remove_file(&path));
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(read(&cache, 1), None);
}

#[test]
fn the_oldest_entries_go() {
    let (_folder, cache) = opened();
    let size = |n: u8| fs::metadata(cache.folder.join(key(n).file())).map(|metadata| metadata.len());
    for n in 1..=3 {
        cache.write(&key(n), &compiled(&[n; 100]));
        let age = Timespec { tv_sec: i64::from(n) * 1_000, tv_nsec: 0 };
        let file = File::open(cache.folder.join(key(n).file())).unwrap();
        rustix::fs::futimens(&file, &Timestamps { last_access: age, last_modification: age }).unwrap();
    }
    assert!(read(&cache, 1).is_some(), "which makes it the newest");
    cache.shrink(size(1).unwrap() * 2);
    assert_eq!([1, 2, 3].map(|n| size(n).is_ok()), [true, false, true]);
}
