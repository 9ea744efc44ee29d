//! The hash of a trigger: the same for the same words, another one for each change of meaning.

use super::{Case, show_findings};

/// The hash of job `a`.
#[track_caller]
fn hash(text: &str) -> u64 {
    let case = Case::read(text);
    let (manifest, diagnostics) = case.resolve();
    let manifest = manifest.unwrap_or_else(|| panic!("{text}\n{}", show_findings(&diagnostics, &case.sources)));
    manifest.jobs[&"a".parse().unwrap()].trigger_hash
}

/// A manifest whose job `a` has these keys.
fn job(keys: &str) -> String {
    format!("version: 1\njobs:\n  a:\n    plugin: ./a.wasm\n{keys}")
}

const CALENDARS: &str = "calendars: { off: [2027-05-01, 2027-10-03], more: [off, weekends] }\n";

#[test]
fn what_means_the_same_has_one_hash() {
    let same = [
        job("    cron: { hour: 9, minute: 30 }\n    timezone: Europe/Berlin\n    jitter: 5s\n"),
        job("    jitter: 5s\n    timezone: Europe/Berlin\n    cron: { minute: 30, hour: 9 }\n"),
        job("    cron: { hour: \"9\", minute: '30' } # a comment\n    timezone: 'europe/berlin'\n    jitter: \"5s\"\n"),
        job("    triggers: [{ cron: { hour: 9, minute: 30 }, jitter: 5s }]\n    timezone: Europe/Berlin\n"),
        job(
            "    triggers: { cron: { hour: 9, minute: 30, x-why: none }, end: , jitter: 5s }\n    timezone: Europe/Berlin\n",
        ),
        format!(
            "defaults: {{ timezone: Europe/Berlin, timeout: 5s }}\n{}",
            job("    cron: { hour: 9, minute: 30 }\n    jitter: 5s\n    description: other words\n")
        ),
        // In an included file, over the defaults of the first one.
        format!(
            "version: 1\ndefaults: {{ timezone: Europe/Berlin }}\n#% file: conf.d/b.yaml\n{}",
            job("    cron: { hour: 9, minute: 30 }\n    jitter: 5s\n")
        ),
        format!(
            "#% env: HOUR=9\n#% env: JITTER=5s\n{}",
            job("    cron: { hour: \"${HOUR}\", minute: 30 }\n    jitter: ${JITTER}\n    timezone: Europe/Berlin\n")
        ),
        // A calendar that the trigger does not use.
        format!(
            "{CALENDARS}{}",
            job("    cron: { hour: 9, minute: 30 }\n    timezone: Europe/Berlin\n    jitter: 5s\n")
        ),
    ];
    for text in &same {
        assert_eq!(hash(text), hash(&same[0]), "{text}");
    }
}

#[test]
fn each_change_of_meaning_has_another_hash() {
    let with = |calendars: &str, keys: &str| format!("{calendars}{}", job(keys));
    let different = [
        job("    cron: \"30 9 * * *\"\n"),
        job("    cron: \"31 9 * * *\"\n"),
        job("    cron: \"30 9 * * *\"\n    timezone: Europe/Berlin\n"),
        format!("defaults: {{ timezone: Europe/Vienna }}\n{}", job("    cron: \"30 9 * * *\"\n")),
        job("    triggers: [{ cron: \"30 9 * * *\", timezone: Europe/Berlin }]\n"),
        job("    cron: \"30 9 * * *\"\n    jitter: 5s\n"),
        job("    cron: \"30 9 * * *\"\n    jitter: 6s\n"),
        job("    cron: \"30 9 * * *\"\n    dst: { gap: skip }\n"),
        job("    cron: \"30 9 * * *\"\n    start: 2027-01-01T00:00:00\n"),
        job("    cron: \"30 9 * * *\"\n    end: 2027-01-01T00:00:00\n"),
        job("    triggers: [{ cron: \"30 9 * * *\" }, { every: 1h }]\n"),
        job("    triggers: [{ every: 1h }, { every: 2h }]\n"),
        job("    every: 1h\n"),
        job("    every: 1h\n    anchor: 2027-01-01T00:00:00\n"),
        job("    every: 1h\n    anchor: 2027-01-01T00:00:01\n"),
        job("    every: 1h\n    mode: fixed_delay\n"),
        job("    every: { hours: 1 }\n"),
        job("    every: 1h\n    except: 2027-05-01\n"),
        with(CALENDARS, "    every: 1h\n    except: off\n"),
        with(CALENDARS, "    every: 1h\n    except: [off, 2027-12-24]\n"),
        with(&CALENDARS.replace("05-01", "05-02"), "    every: 1h\n    except: off\n"),
        // A calendar within a calendar, and both within a trigger that is left out.
        with(CALENDARS, "    every: 1h\n    except: more\n"),
        with(&CALENDARS.replace("05-01", "05-02"), "    every: 1h\n    except: more\n"),
        with(CALENDARS, "    every: 1h\n    except: [{ every: 2h, anchor: 2027-01-01T00:00:00, except: more }]\n"),
        with(
            &CALENDARS.replace("05-01", "05-02"),
            "    every: 1h\n    except: [{ every: 2h, anchor: 2027-01-01T00:00:00, except: more }]\n",
        ),
    ];
    let mut seen = std::collections::BTreeMap::new();
    for text in &different {
        if let Some(other) = seen.insert(hash(text), text) {
            panic!("one hash for\n{other}\nand\n{text}");
        }
    }
    assert!(!seen.contains_key(&0));
}

#[test]
fn what_is_not_the_trigger_does_not_count() {
    let plain = job("    every: 1h\n");
    let other = job("    every: 1h\n    pool: default\n    retry: { attempts: 3 }\n    after: b\n    paused: true\n")
        + "  b: { plugin: ./b.wasm, every: 5s }\n";
    assert_eq!(hash(&plain), hash(&other));
    assert_eq!(hash(&(job("    after: b\n") + "  b: { plugin: ./b.wasm, every: 5s }\n")), 0);
}

#[test]
fn the_hashes_are_the_same_in_every_version() {
    // Where one of these changes, every job of every host counts as changed once.
    let told = [
        job("    every: 1h\n"),
        job("    cron: { hour: 9, minute: 30 }\n    timezone: Europe/Berlin\n"),
        format!("{CALENDARS}{}", job("    triggers: [{ every: 1h, except: more }, { at: 2027-01-01T00:00:00 }]\n")),
    ]
    .map(|text| format!("{:016x}", hash(&text)));
    expect_test::expect!["4db43dc4d7aef587 ce3abbd5a3f46635 4c982cff9d4104bf"].assert_eq(&told.join(" "));
}
