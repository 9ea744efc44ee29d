//! The jobs that are put under attack: each policy once, dense enough that every kill meets something.

use std::fmt::Write as _;

use clockjack_checker::{self as checker, After, AfterOn, Coalesce, Delivery, Micros, Overlap, Pool, Revision, SECOND};

/// One millisecond.
pub(crate) const MS: Micros = SECOND / 1_000;

/// How far ahead slots are told to the checker: longer than any story here.
const HORIZON: Micros = 1_800 * SECOND;

/// Places of the two pools.
const POOLS: [(&str, usize); 2] = [("default", 64), ("small", 2)];

/// A job as the checker knows it, with what only the manifest says.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) revision: Revision,
    /// Absent where it runs after another job only.
    pub(crate) every: Option<Micros>,
    anchor: Micros,
    sleep_ms: u32,
    failures: u32,
}

/// All jobs of a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
}

impl Fleet {
    /// All kinds of jobs, of both deliveries.
    pub(crate) fn mixed(now: Micros) -> Self {
        use Delivery::{AtLeastOnce, AtMostOnce};
        let grid = Grid { anchor: now - now % (100 * MS) };
        let both = |begin: fn(&Grid, Delivery) -> Vec<Member>| [begin(&grid, AtLeastOnce), begin(&grid, AtMostOnce)];
        Self { members: both(members).into_iter().flatten().collect() }
    }

    /// The same jobs, all of one delivery.
    pub(crate) fn of(delivery: Delivery, now: Micros) -> Self {
        Self { members: members(&Grid { anchor: now - now % (100 * MS) }, delivery) }
    }

    /// Fifty jobs that fire ten times a second and only say so.
    pub(crate) fn busy(now: Micros) -> Self {
        let grid = Grid { anchor: now - now % (100 * MS) };
        let member = |n: i64| grid.every(&format!("busy-{n:02}"), 100, 2 * n).with(|it| it.overlap = Overlap::Allow);
        Self { members: (0..50).map(member).collect() }
    }

    pub(crate) fn pools() -> Vec<Pool> {
        POOLS.map(|(name, size)| Pool { name: name.to_owned(), size }).into()
    }

    /// The manifest; `folder` is the granted one, beside it.
    pub(crate) fn manifest(&self, folder: &str) -> String {
        let mut text = "version: 1\nplugins: { witness: { source: ./witness.wasm } }\npools:\n".to_owned();
        for (name, size) in POOLS {
            writeln!(text, "  {name}: {{ size: {size} }}").unwrap();
        }
        let dirs = format!("[{{ host: ./{folder}, guest: /seen, mode: read_write }}]");
        writeln!(text, "defaults: {{ timeout: 20s }}\njobs:").unwrap();
        for member in &self.members {
            member.write(&dirs, &mut text);
        }
        text
    }
}

struct Grid {
    anchor: Micros,
}

impl Grid {
    fn every(&self, name: &str, every_ms: i64, offset_ms: i64) -> Member {
        let anchor = self.anchor + offset_ms * MS;
        let step = usize::try_from(every_ms * MS).expect("a period");
        let slots = (anchor..anchor + HORIZON).step_by(step).collect();
        let revision = Revision { pool: Some("default".to_owned()), ..Revision::new(name, slots) };
        Member { revision, every: Some(every_ms * MS), anchor, sleep_ms: 0, failures: 0 }
    }

    fn after(&self, name: &str, upstream: &str, on: AfterOn) -> Member {
        let after = vec![After { job: upstream.to_owned(), on }];
        let revision = Revision { pool: Some("default".to_owned()), after, ..Revision::new(name, Vec::new()) };
        Member { revision, every: None, anchor: self.anchor, sleep_ms: 0, failures: 0 }
    }
}

/// Eight jobs of one delivery. Their names end with a letter for it.
fn members(grid: &Grid, delivery: Delivery) -> Vec<Member> {
    let (letter, shift) = match delivery {
        Delivery::AtLeastOnce => ("a", 0),
        Delivery::AtMostOnce => ("b", 30),
    };
    let name = |stem: &str| format!("{stem}-{letter}");
    let members = [
        grid.every(&name("skip"), 300, shift).sleeps(300),
        grid.every(&name("queue"), 500, 10 + shift).sleeps(300).with(|it| {
            (it.overlap, it.coalesce, it.max_backlog) = (Overlap::Queue, Coalesce::All, 5);
        }),
        grid.every(&name("allow"), 200, 20 + shift).sleeps(400).with(|it| {
            (it.overlap, it.coalesce, it.max_backlog) = (Overlap::Allow, Coalesce::All, 4);
        }),
        grid.every(&name("retry"), 600, 40 + shift).sleeps(100).fails(50).with(|it| {
            (it.attempts_max, it.backoff_max) = (3, 200 * MS);
        }),
        grid.every(&name("grace"), 350, 55 + shift).sleeps(100).with(|it| {
            (it.misfire_grace, it.coalesce) = (Some(500 * MS), Coalesce::Earliest);
        }),
        grid.every(&name("replace"), 700, 65 + shift).sleeps(800).with(|it| it.overlap = Overlap::Replace),
        grid.every(&name("small"), 400, 75 + shift).sleeps(400).with(|it| {
            (it.pool, it.overlap) = (Some("small".to_owned()), Overlap::Queue);
        }),
        grid.every(&name("jitter"), 450, 85 + shift).sleeps(50).with(|it| it.jitter_max = 200 * MS),
        grid.after(&name("follow"), &name("skip"), AfterOn::Always).sleeps(100).with(|it| {
            it.overlap = Overlap::Allow;
        }),
    ];
    members.map(|member| member.with(|it| it.delivery = delivery)).into()
}

impl Member {
    fn with(mut self, change: impl FnOnce(&mut Revision)) -> Self {
        change(&mut self.revision);
        self
    }

    fn sleeps(self, sleep_ms: u32) -> Self {
        Self { sleep_ms, ..self }
    }

    fn fails(self, failures: u32) -> Self {
        Self { failures, ..self }
    }

    /// The job as the manifest has it.
    fn write(&self, dirs: &str, text: &mut String) {
        let Revision { job, misfire_grace, max_backlog, max_instances, attempts_max, pool, .. } = &self.revision;
        let revision = &self.revision;
        writeln!(text, "  {job}:").unwrap();
        let mut line = |key: &str, value: String| writeln!(text, "    {key}: {value}").unwrap();
        let ms = |time: Micros| format!("{}ms", time / MS);
        line("plugin", "witness".to_owned());
        line("call", "attest".to_owned());
        line("args", format!("{{ folder: /seen, sleep-ms: {}, failures: {} }}", self.sleep_ms, self.failures));
        line("grants", format!("{{ dirs: {dirs} }}"));
        if let Some(every) = self.every {
            let jitter =
                if revision.jitter_max == 0 { String::new() } else { format!(", jitter: {}", ms(revision.jitter_max)) };
            let anchor = checker::show(self.anchor);
            line("triggers", format!("[{{ every: {}, anchor: \"{anchor}\"{jitter} }}]", ms(every)));
        }
        for after in &revision.after {
            let on = match after.on {
                AfterOn::Success => "success",
                AfterOn::Failure => "failure",
                AfterOn::Always => "always",
            };
            line("after", format!("{{ job: {}, on: {on} }}", after.job));
        }
        misfire_grace.iter().for_each(|grace| line("misfire_grace", ms(*grace)));
        let coalesce = match revision.coalesce {
            Coalesce::Latest => "latest",
            Coalesce::Earliest => "earliest",
            Coalesce::All => "all",
        };
        let overlap = match revision.overlap {
            Overlap::Skip => "skip",
            Overlap::Queue => "queue",
            Overlap::Replace => "replace",
            Overlap::Allow => "allow",
        };
        line("coalesce", coalesce.to_owned());
        line("overlap", overlap.to_owned());
        line("max_backlog", max_backlog.to_string());
        line("max_instances", max_instances.to_string());
        if 1 < *attempts_max {
            line(
                "retry",
                format!("{{ attempts: {attempts_max}, backoff: 50ms, max_backoff: {} }}", ms(revision.backoff_max)),
            );
        }
        let delivery = match revision.delivery {
            Delivery::AtLeastOnce => "at_least_once",
            Delivery::AtMostOnce => "at_most_once",
        };
        line("delivery", delivery.to_owned());
        pool.iter().for_each(|pool| line("pool", pool.clone()));
    }
}
