//! References as people write them, and what they are told.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn read(text: &str) -> OciReference {
    text.parse().unwrap_or_else(|fault| panic!("`{text}`: {fault:?}"))
}

/// The part of the text that a fault points at, and its message.
fn fault(text: &str) -> (&str, String) {
    let fault = text.parse::<OciReference>().expect_err(text);
    (&text[fault.start..fault.end], fault.message)
}

#[test]
fn what_is_written_is_what_is_shown() {
    for text in [
        "oci://ghcr.io/acme/scraper:1.4.2".to_owned(),
        "oci://localhost:5000/a".to_owned() + ":x_Y.z-1",
        format!("oci://127.0.0.1/a/b/c@sha256:{HEX}"),
        format!("oci://[::1]:5000/a.b_c__d---e:1@sha256:{HEX}"),
    ] {
        assert_eq!(read(&text).to_string(), text);
    }
}

#[test]
fn without_tag_and_digest_the_tag_is_latest() {
    assert_eq!(read("oci://ghcr.io/acme/a"), read("oci://ghcr.io/acme/a:latest"));
    let pinned = read(&format!("oci://ghcr.io/acme/a@sha256:{HEX}"));
    assert_eq!(pinned.tag(), None);
    assert_eq!(pinned.digest().unwrap().to_string(), HEX);
}

#[test]
fn one_image_has_one_name() {
    assert_eq!(read("oci://GHCR.io/acme/a:1"), read("oci://ghcr.io/acme/a:1"));
    let (large, small) = (format!("oci://h/a@sha256:{}", HEX.to_uppercase()), format!("oci://h/a@sha256:{HEX}"));
    assert_eq!(read(&large), read(&small));
}

#[test]
fn only_this_machine_is_loopback() {
    for (text, is_loopback) in [
        ("oci://localhost/a", true),
        ("oci://LOCALHOST:5000/a", true),
        ("oci://127.0.0.1:5000/a", true),
        ("oci://[::1]/a", true),
        ("oci://[::1]:5000/a", true),
        ("oci://[::2]:5000/a", false),
        ("oci://localhost.example.com/a", false),
        ("oci://127.0.0.1.example.com:5000/a", false),
        ("oci://10.0.0.1/a", false),
    ] {
        assert_eq!(read(text).is_loopback(), is_loopback, "{text}");
    }
}

#[test]
fn faults_point_at_what_is_wrong() {
    for (text, place, word) in [
        ("oci://", "", "no registry"),
        ("oci:///a", "", "no registry"),
        ("oci://ghcr.io", "ghcr.io", "nothing in it"),
        ("oci://ghcr.io/", "", "nothing in it"),
        ("oci://ghcr.io/:1", "", "nothing in it"),
        ("oci://ghcr.io/a b", " ", "neither blanks"),
        ("oci://user:secret@ghcr.io/a", "user:secret@ghcr.io", "no user and no password"),
        ("oci://gh_cr.io/a", "_", "the name of a host"),
        ("oci://-ghcr.io/a", "-ghcr.io", "not the name of a host"),
        ("oci://ghcr..io/a", "ghcr..io", "not the name of a host"),
        ("oci://[::x]/a", "[::x]", "not an address of IPv6"),
        ("oci://[::1]5000/a", "5000", "behind the `]`"),
        ("oci://ghcr.io:0/a", "0", "not a port"),
        ("oci://ghcr.io:65536/a", "65536", "not a port"),
        ("oci://ghcr.io:+1/a", "+1", "not a port"),
        ("oci://ghcr.io:/a", "", "not a port"),
        ("oci://ghcr.io/Acme/a", "A", "no capitals"),
        ("oci://ghcr.io/acme//a", "", "no empty step"),
        ("oci://ghcr.io/acme/a/", "", "no empty step"),
        ("oci://ghcr.io/acme/-a", "-a", "not a step"),
        ("oci://ghcr.io/acme/a._b", "a._b", "not a step"),
        ("oci://ghcr.io/acme/a___b", "a___b", "not a step"),
        ("oci://ghcr.io/../a", "..", "not a step"),
        ("oci://ghcr.io/a?x=1", "?", "does not stand in a name"),
        ("oci://ghcr.io/a:", "", "no tag"),
        ("oci://ghcr.io/a:1/b", "/", "does not stand in a tag"),
        ("oci://ghcr.io/a:.1", ".1", "a tag begins"),
        ("oci://ghcr.io/a@", "", "begins with `sha256:`"),
        ("oci://ghcr.io/a@md5:00", "md5:00", "begins with `sha256:`"),
        ("oci://ghcr.io/a:1@sha256:12", "12", "64 hexadecimal digits"),
        ("oci://ghcr.io/a@sha256:zz", "zz", "not a hexadecimal digit"),
    ] {
        let (found, message) = fault(text);
        assert_eq!(found, place, "{text}: {message}");
        assert!(message.contains(word), "{text}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let doubled = format!("oci://ghcr.io/a@sha256:sha256:{HEX}");
    assert!(fault(&doubled).1.contains("not a hexadecimal digit"));
    let long = format!("oci://ghcr.io/{}", "a".repeat(248));
    assert!(fault(&long).1.contains("255 characters"));
    assert_eq!(read(&long[..long.len() - 1]).repository().len(), 247);
    let tag = "x".repeat(129);
    assert!(fault(&format!("oci://ghcr.io/a:{tag}")).1.contains("at most 128"));
    assert!(read(&format!("oci://ghcr.io/a:{}", &tag[1..])).tag().is_some());
}
