//! The rules against a second opinion, and against everything that dresses up as something else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const PRIVATE: &str = "10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254 \
     172.16.0.1 172.31.255.255 192.168.0.1 198.18.0.1 198.19.255.255 ::1 fc00::1 fd00:ec2::254 fe80::1 \
     febf::1 fec0::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::10.0.0.1 \
     64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe::";

const NEVER: &str = "0.0.0.0 0.1.2.3 192.0.0.1 192.0.2.1 192.88.99.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 \
     240.0.0.1 255.255.255.255 :: ::127.0.0.1 ::a00:1 2001::1 2001:0:1:2:: 2001:10::1 2001:db8::1 3fff::1 \
     3fff:fff::1 5f00::1 100::1 ff02::1 ff05::2 4000::1 ::ffff:0.0.0.0 64:ff9b::0.0.0.0 2002:e000:1:: 1:: \
     64:ff9b:0:1::1";

const PUBLIC: &str = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.0.1.1 \
     192.167.0.1 198.17.0.1 198.20.0.1 223.255.255.255 2606:4700::1111 2a00::1 ::ffff:8.8.8.8 \
     64:ff9b::8.8.8.8 2002:808:808:: 2001:200::1 2001:4860:4860::8888 3fff:1000::1";

#[test]
fn private_addresses_are_known_in_every_dress() {
    for (addresses, expected) in [(PRIVATE, Reach::Private), (NEVER, Reach::Never), (PUBLIC, Reach::Public)] {
        for address in addresses.split_whitespace() {
            assert_eq!(reach(ip(address)), expected, "{address}");
            assert_eq!(is_public(ip(address)), expected == Reach::Public, "{address}");
        }
    }
}

/// The ranges once more, as a table of blocks and in the order in which registries list them.
fn reference_reach_4(address: Ipv4Addr) -> Reach {
    const NEVER: [&str; 8] = [
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ];
    const PRIVATE: [&str; 7] = [
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
    ];
    // Read by hand: `Cidr` does not take `0.0.0.0/8` for a different reason than being wrong.
    let is_in = |block: &&str| {
        let (network, prefix) = block.split_once('/').unwrap();
        let shift = 32 - prefix.parse::<u32>().unwrap();
        network.parse::<Ipv4Addr>().unwrap().to_bits() >> shift == address.to_bits() >> shift
    };
    match (NEVER.iter().any(is_in), PRIVATE.iter().any(is_in)) {
        (true, _) => Reach::Never,
        (_, true) => Reach::Private,
        (false, false) => Reach::Public,
    }
}

#[test]
fn numbers_in_disguise_are_no_hosts() {
    for host in [
        "0x7f.1",
        "2130706433",
        "017700000001",
        "127.1",
        "127.0.1",
        "0x7f000001",
        "127.0.0.01",
        "0177.0.0.1",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "256.1.1.1",
        "0x",
        "a.0x7f",
        "example.123",
        "1.2.3",
        "０x7f.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
    ] {
        assert!(Host::parse(host).is_err(), "{host}");
        assert!(permits("https://*.acme.dev", &format!("https://{host}/")).is_err(), "{host}");
    }
    assert_eq!(Host::parse("127.0.0.1").unwrap(), Host::Address(ip("127.0.0.1")));
    assert_eq!(Host::parse("[::ffff:127.0.0.1]").unwrap(), Host::Address(ip("127.0.0.1")));
    assert_eq!(Host::parse("0x7f.dev").unwrap(), Host::Name("0x7f.dev".into()));
    assert_eq!(Host::parse("3com.example").unwrap(), Host::Name("3com.example".into()));
}

#[test]
fn hosts_that_are_none_are_refused() {
    for host in [
        "",
        ".",
        "a..b",
        "a.",
        "-a.dev",
        "a-.dev",
        "a b",
        "a/b",
        "a@b",
        "a%2e",
        "[::1",
        "[fe80::1%25eth0]",
        "[1.2.3.4]",
        "::1",
        "a:1",
        "*",
        "*.dev",
        "a\\b",
        "ä.dev",
        "a\r\nb",
        "[]",
    ] {
        assert!(Host::parse(host).is_err(), "{host:?}");
    }
    assert!(Host::parse(&format!("{}.dev", "a".repeat(64))).is_err());
    assert!(Host::parse(&vec!["a".repeat(63); 4].join(".")).is_err());
    assert_eq!(Host::parse("API.Acme.DEV").unwrap().to_string(), "api.acme.dev");
}

#[test]
fn a_suffix_covers_what_is_below_and_nothing_else() {
    for (url, expected) in [
        ("https://api.acme.dev/", true),
        ("https://a.b.c.acme.dev/x?y=1", true),
        ("https://API.ACME.DEV", true),
        ("https://api.acme.dev:443/", true),
        ("https://acme.dev/", false),
        ("https://evilacme.dev/", false),
        ("https://acme.dev.evil.example/", false),
        ("https://api.acme.dev:8443/", false),
        ("http://api.acme.dev/", false),
    ] {
        assert_eq!(permits("https://*.acme.dev", url), Ok(expected), "{url}");
    }
    for url in [
        "https://user@api.acme.dev/",
        "https://api.acme.dev@evil.example/",
        "https://api.acme.dev:0/",
        "https://api.acme.dev:+443/",
        "https://api.acme.dev:/",
        "https://api.acme.dev:0443/",
        "https://api.acme.dev:99999/",
        "https://api.acme.dev./",
        "https://.acme.dev/",
    ] {
        assert!(permits("https://*.acme.dev", url).is_err(), "{url}");
    }
}

#[test]
fn a_path_counts_by_whole_steps() {
    for (path, expected) in [
        ("/v1", true),
        ("/v1/", true),
        ("/v1/users", true),
        ("/v1//users", true),
        ("/v1?x=/../", true),
        ("/v1/%41", true),
        ("/v10", false),
        ("/", false),
        ("/V1", false),
        ("//v1", false),
        ("/%761/x", false),
        ("/v1/../admin", false),
        ("/v1/%2e%2e/admin", false),
        ("/v1/%2E./admin", false),
        ("/v1/..%2fadmin", false),
        ("/v1/%252e%252e/admin", false),
        ("/v1/%25252e%25252e/admin", false),
        ("/v1/..;/admin", false),
        ("/v1/..;x=1/admin", false),
        ("/v1/..%3b/admin", false),
        ("/v1/..\\admin", false),
        ("/v1/..%5cadmin", false),
        ("/v1/x%00", false),
        ("/v1/.", false),
        ("/v1/..%c0%af../x", false),
        ("/v1/%u002e%u002e/x", false),
        ("/v1/%zz", false),
        ("/v1/%c3%a4", true),
    ] {
        assert_eq!(permits("https://acme.dev/v1/", &format!("https://acme.dev{path}")), Ok(expected), "{path}");
    }
    assert_eq!(
        permits("https://acme.dev", "https://acme.dev/a/../b"),
        Ok(true),
        "without a path every path is covered"
    );
}

#[test]
fn advice_allows_what_was_asked_and_no_more() {
    let told = |rule: &str, host: &str, method: &str, path: &str| {
        let host = Host::parse(host).unwrap();
        let request = HttpRequest { scheme: Scheme::Http, host: &host, port: 8080, method, path };
        judge(&[HttpRule::parse(rule).unwrap()], &request).unwrap_err()
    };
    let private = told("http://a.dev", "127.0.0.1", "GET", "/");
    assert!(private.ends_with("add `grants.http: [{ url: \"http://127.0.0.1:8080\", private: true }]`"), "{private}");
    let never = told("http://a.dev", "255.255.255.255", "GET", "/");
    assert!(never.ends_with("no host has that address"), "{never}");
    let path = told("http://a.dev:8080/v1", "a.dev", "GET", "/v2/x");
    assert!(path.ends_with("add `grants.http: [\"http://a.dev:8080/v2/x\"]`"), "{path}");
    let ambiguous = told("http://a.dev:8080/v1", "a.dev", "GET", "/v1/%2e%2e/x");
    assert!(ambiguous.ends_with("so no entry with a path covers it"), "{ambiguous}");
    let method = told("http://a.dev:8080", "a.dev", "CONNECT", "/");
    assert!(method.ends_with("no entry can cover that method"), "{method}");
}

#[test]
fn methods_and_ports_and_leave() {
    let host = Host::parse("acme.dev").unwrap();
    let rule = HttpRule {
        methods: Methods::NONE.with("GET").unwrap(),
        port: None,
        ..HttpRule::parse("https://acme.dev").unwrap()
    };
    assert!(rule.matches(Scheme::Https, &host, 1, "GET", "/"));
    for method in ["POST", "get", "CONNECT", "TRACE", "", "GET "] {
        assert!(!rule.matches(Scheme::Https, &host, 443, method, "/"), "{method}");
    }
    for method in ["CONNECT", "TRACE", "PROPFIND"] {
        assert!(!Methods::ALL.has(method) && Methods::ALL.with(method).is_none(), "{method}");
    }
    let request = HttpRequest { scheme: Scheme::Https, host: &host, port: 443, method: "PUT", path: "/" };
    let told = |rules: &[HttpRule]| judge(rules, &request).unwrap_err();
    assert_eq!(told(&[]), "the job has no `grants.http`; to allow it, add `grants.http: [\"https://acme.dev\"]`");
    assert_eq!(
        told(&[HttpRule::parse("https://b.dev").unwrap(), rule.clone()]),
        "`https://acme.dev:*` of `grants.http` does not cover the method; to allow it, add `PUT` to its `methods`"
    );
    let open = HttpRule { private: true, ..HttpRule::parse("https://acme.dev").unwrap() };
    assert_eq!(judge(&[rule, open.clone()], &request), Ok(Permit { private: true }));
    assert_eq!(judge(&[HttpRule::parse("https://*.dev").unwrap()], &request), Ok(Permit { private: false }));
    assert_eq!(judge(&[open, HttpRule::parse("https://*.dev").unwrap()], &request), Ok(Permit { private: true }));
}

#[test]
fn rules_that_mean_nothing_are_refused_with_a_fix() {
    for (text, fix) in [
        ("api.acme.dev", "write `https://api.acme.dev`"),
        ("//api.acme.dev", "write `https://api.acme.dev`"),
        ("https://ä.dev", "write the name as DNS has it, with `xn--`"),
        ("https://acme.dev/v1/*", "write `/v1/`: it counts for all below"),
        ("https://[::1", "write it as in `[2001:db8::1]`"),
        ("https://::1", "write IPv6 addresses in brackets, as in `[2001:db8::1]:443`"),
        ("https://acme.dev:0", "write 1 to 65535, or `*` for any"),
        ("https://acme.dev.", "write `acme.dev`"),
    ] {
        assert_eq!(HttpRule::parse(text).unwrap_err().fix, fix, "{text}");
    }
    for text in [
        "*",
        "https://*",
        "https://*.*",
        "https://a*.dev",
        "ftp://a.dev",
        "HTTPS://a.dev",
        "https://a@b.dev",
        "https://a.dev?x",
        "https://a.dev#x",
        "https://a.dev/../b",
        "https://a.dev/%2e%2e",
        "https://a.dev//b",
        "https:// a.dev",
        "https://",
        "://a",
        "",
        "https://*.1.2.3.4",
        "https://a.dev/b\\c",
    ] {
        assert!(HttpRule::parse(text).is_err(), "{text}");
    }
    for text in [
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://x.localhost",
        "https://*.localhost",
        "http://[::1]",
        "http://10.0.0.1",
    ] {
        let rule = HttpRule::parse(text).unwrap();
        assert!(rule.check().unwrap_err().1.contains("private: true"), "{text}");
        assert_eq!(HttpRule { private: true, ..rule }.check(), Ok(()));
    }
    for text in ["http://0.0.0.0", "http://224.0.0.1", "http://[::]"] {
        assert!(HttpRule { private: true, ..HttpRule::parse(text).unwrap() }.check().is_err(), "{text}");
    }
}

#[test]
fn a_fault_points_at_its_words() {
    for (text, part) in [
        ("https://a.dev:0/x", "0"),
        ("ftp://a.dev", "ftp"),
        ("https://u@a.dev", "u@a.dev"),
        ("https://*.b_-.dev", "b_-"),
        ("https://a.dev/x?y", "?y"),
    ] {
        let fault = HttpRule::parse(text).unwrap_err();
        assert_eq!(&text[fault.start..fault.end], part, "{fault}");
    }
    let text = "db.internal:x";
    let fault = Endpoint::parse(text).unwrap_err();
    assert_eq!(&text[fault.start..fault.end], "x");
}

#[test]
fn endpoints_cover_addresses_and_names() {
    let names = [Host::parse("db.internal").unwrap()];
    let permits = |rule: &str, private: bool, address: &str| {
        Endpoint { private, ..Endpoint::parse(rule).unwrap() }.permits(address.parse().unwrap(), &names)
    };
    assert!(permits("10.1.2.3:6379", false, "10.1.2.3:6379"));
    assert!(permits("10.1.2.3:6379", false, "[::ffff:10.1.2.3]:6379"));
    assert!(!permits("10.1.2.3:6379", false, "10.1.2.4:6379"));
    assert!(!permits("10.1.2.3:6379", false, "10.1.2.3:6380"));
    assert!(permits("10.1.0.0/16:8000-8100", false, "10.1.255.255:8100"));
    assert!(!permits("10.1.0.0/16:8000-8100", false, "10.2.0.0:8100"));
    assert!(!permits("10.1.0.0/16:8000-8100", false, "10.1.0.0:8101"));
    assert!(permits("[fd00::/8]:443", false, "[fd12::1]:443"));
    assert!(permits("[::1]:443", false, "[::1]:443"));
    assert!(permits("db.internal:5432", false, "8.8.8.8:5432"));
    assert!(!permits("db.internal:5432", false, "10.0.0.1:5432"), "a name is no leave to go inside");
    assert!(permits("db.internal:5432", true, "10.0.0.1:5432"));
    assert!(!permits("*.other:*", true, "10.0.0.1:5432"), "the address was not looked up for that name");
    assert!(!permits("224.0.0.0/4:53", false, "224.0.0.1:53"));
    for text in [
        "db.internal",
        "db.internal:0",
        "db.internal:1-0",
        ":80",
        "tcp://a:1",
        "::1:80",
        "0.0.0.0/0:80",
        "10.1.2.3/8:80",
        "10.0.0.0/33:1",
        "*:80",
        "a:1:2",
        "0.0.0.0:1",
    ] {
        assert!(Endpoint::parse(text).is_err(), "{text}");
    }
    assert!(Endpoint::parse("localhost:80").unwrap().check().is_err());
    for text in ["db.internal:5432", "*.acme.dev:8000-8100", "10.0.0.0/8:*", "[fd00::/8]:443", "[::1]:80", "10.1.2.3:1"]
    {
        assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn lookups_are_of_granted_names_alone() {
    let grants = NetworkGrants {
        tcp: vec![Endpoint::parse("db.internal:5432").unwrap()],
        udp: vec![Endpoint::parse("10.0.0.1:53").unwrap()],
        dns: vec![NameRule { private: true, ..NameRule::parse("*.acme.dev").unwrap() }],
    };
    let lookup = |name: &str| grants.lookup(&Host::parse(name).unwrap());
    assert_eq!(lookup("db.internal"), Some(false));
    assert_eq!(lookup("x.acme.dev"), Some(true));
    assert_eq!(lookup("secret-in-a-name.evil.example"), None);
    assert_eq!(lookup("acme.dev"), None);
    assert!(NameRule::parse("10.0.0.1").is_err());
    assert_eq!(vetted([ip("10.0.0.1"), ip("8.8.8.8"), ip("::ffff:8.8.8.8"), ip("0.0.0.0")], false), [ip("8.8.8.8")]);
    assert_eq!(vetted([ip("10.0.0.1"), ip("0.0.0.0")], true), [ip("10.0.0.1")]);
}

#[test]
fn a_host_policy_covers_what_is_narrower() {
    let policy = ["https://*.acme.dev", "tcp://*.internal:5432", "udp://10.0.0.0/8:53"]
        .map(|text| EgressRule::parse(text).unwrap());
    let http = |text: &str| allows_http(&policy, &HttpRule::parse(text).unwrap());
    assert!(http("https://api.acme.dev/v1") && http("https://*.eu.acme.dev") && http("https://*.acme.dev"));
    assert!(
        !http("https://acme.dev")
            && !http("http://api.acme.dev")
            && !http("https://api.acme.dev:*")
            && !http("https://*.dev")
    );
    assert!(!allows_http(&policy, &HttpRule { private: true, ..HttpRule::parse("https://api.acme.dev").unwrap() }));
    let tcp = |text: &str| NetworkGrants { tcp: vec![Endpoint::parse(text).unwrap()], ..NetworkGrants::default() };
    assert_eq!(first_refused(&policy, &tcp("db.internal:5432")), None);
    assert_eq!(first_refused(&policy, &tcp("db.internal:5433")).as_deref(), Some("tcp://db.internal:5433"));
    assert_eq!(first_refused(&policy, &tcp("10.0.0.1:53")).as_deref(), Some("tcp://10.0.0.1:53"));
    let udp = NetworkGrants { udp: vec![Endpoint::parse("10.9.0.0/16:53").unwrap()], ..NetworkGrants::default() };
    assert_eq!(first_refused(&policy, &udp), None);
    let dns = |text: &str| NetworkGrants { dns: vec![NameRule::parse(text).unwrap()], ..NetworkGrants::default() };
    assert_eq!(first_refused(&policy, &dns("a.internal")), None);
    assert_eq!(first_refused(&policy, &dns("a.evil.example")).as_deref(), Some("tcp://a.evil.example:*"));
}

proptest! {
    #[test]
    fn the_reach_of_ipv4_is_that_of_the_registries(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        let expected = reference_reach_4(address);
        prop_assert_eq!(reach(IpAddr::V4(address)), expected);
        // Mapped, translated, tunnelled.
        let [a, b, c, d] = address.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        for dressed in [
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        ] {
            prop_assert_eq!(reach(IpAddr::V6(dressed)), expected);
        }
        prop_assert!(!is_public(IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low))));
    }

    #[test]
    fn public_ipv6_is_in_the_one_block_that_is_given_out(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        let given_out = bits >> 125 == 0b001;
        let dressed = matches!(address.segments(), [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..]);
        prop_assert!(!is_public(IpAddr::V6(address)) || given_out || dressed);
    }

    #[test]
    fn a_rule_and_its_text_are_each_others_reverse(
        https in any::<bool>(),
        labels in proptest::collection::vec("[a-z]([a-z0-9-]{0,8}[a-z0-9])?", 1..4),
        below in any::<bool>(),
        port in proptest::option::of(1_u16..),
        steps in proptest::collection::vec("[a-zA-Z0-9_~-]{1,6}", 0..4),
    ) {
        let scheme = if https { "https" } else { "http" };
        let port = port.map_or_else(|| ":*".to_owned(), |port| format!(":{port}"));
        let text = format!("{scheme}://{}{}{port}/{}", if below { "*." } else { "" }, labels.join("."), steps.join("/"));
        let rule = HttpRule::parse(&text).unwrap();
        prop_assert_eq!(&HttpRule::parse(&rule.to_string()).unwrap(), &rule);
        prop_assert!(rule.covers(&rule));
        let host = format!("x.{}", labels.join("."));
        let url = format!("{scheme}://{host}:{}/{}", rule.port.unwrap_or(7), steps.join("/"));
        prop_assert_eq!(permits(&text, &url), Ok(below));
    }

    #[test]
    fn what_is_covered_is_what_a_plain_reading_says(
        rule_labels in proptest::collection::vec("[ab]", 1..4),
        labels in proptest::collection::vec("[ab]", 1..5),
        below in any::<bool>(),
        rule_steps in proptest::collection::vec("[ab]{1,2}", 0..3),
        steps in proptest::collection::vec("[ab]{1,2}", 0..4),
    ) {
        let rule = format!("http://{}{}/{}", if below { "*." } else { "" }, rule_labels.join("."), rule_steps.join("/"));
        let url = format!("http://{}/{}", labels.join("."), steps.join("/"));
        let host = if below {
            rule_labels.len() < labels.len() && labels.ends_with(&rule_labels)
        } else {
            rule_labels == labels
        };
        prop_assert_eq!(permits(&rule, &url), Ok(host && steps.starts_with(&rule_steps)), "{} {}", rule, url);
    }

    #[test]
    fn any_text_is_an_answer_or_a_fault(rule in ".{0,40}", url in ".{0,60}", shaped in "(https?://)?[a-z0-9.:*@\\[\\]/%-]{0,40}") {
        for text in [&rule, &url, &shaped] {
            drop(permits(text, &url));
            drop(permits("https://*.a", text));
            let faults = [HttpRule::parse(text).err(), Endpoint::parse(text).err(), NameRule::parse(text).err(), EgressRule::parse(text).err()];
            for fault in faults.into_iter().flatten() {
                prop_assert!(text.get(fault.start..fault.end).is_some(), "{text:?} {fault:?}");
            }
        }
    }
}
