//! Figures as OpenMetrics text.
//!
//! Names begin with `clockjack_`, those of the process with `process_` as every exporter has them; times are seconds, sizes
//! are bytes. The label of jobs is `job_name`: a label `job` is Prometheus' own, for what it scrapes.

use std::fmt::{self, Debug};

use chrono::{DateTime, Utc};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{
    Meter,
    figures::{Figures, Histogram},
    meter::{OfHost, Reading},
    process::Process,
};

/// What the answer with the text says that it is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What stands around the figures of a meter.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Now.
    pub now: DateTime<Utc>,
    /// Since when the host has been there.
    pub started_at: DateTime<Utc>,
    /// The generation that each plugin runs, and whether a newer file of it is not in force.
    pub plugins: Vec<(String, u32, bool)>,
    /// How many listen to the events of the host.
    pub n_listeners: usize,
}

/// All metrics as text.
#[must_use]
pub fn text(meter: &Meter, scene: Scene) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot { reading: meter.read(), scene, process: Process::read() }));
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        // Writing to a string does not fail; half of a text would be worse than none.
        text.clear();
    }
    text
}

struct Snapshot {
    reading: Reading,
    scene: Scene,
    process: Process,
}

impl Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

type Labels = Vec<(&'static str, String)>;

/// Writes families one after the other.
struct Page<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Page<'_, '_> {
    fn counters<N>(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, N)>) -> fmt::Result
    where
        ConstCounter<N>: prometheus_client::encoding::EncodeMetric,
    {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                return ConstCounter::new(value).encode(family);
            }
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges<N>(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, N)>) -> fmt::Result
    where
        ConstGauge<N>: prometheus_client::encoding::EncodeMetric,
    {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                return ConstGauge::new(value).encode(family);
            }
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, &'h Histogram)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, histogram) in rows {
            let (sum, count, buckets) = (histogram.sum(), histogram.n_values(), histogram.buckets());
            if labels.is_empty() {
                return family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
            }
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn info(&mut self, name: &str, help: &str, labels: Labels) -> fmt::Result {
        self.encoder.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder: &mut encoder };
        self.host(&mut page)?;
        self.ends_of_jobs(&mut page)?;
        self.times_of_jobs(&mut page)?;
        self.guests(&mut page)?;
        self.pools(&mut page)?;
        self.ledger(&mut page)?;
        self.notifications(&mut page)?;
        self.of_process(&mut page)
    }
}

impl Snapshot {
    fn host(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let Self { reading, scene, .. } = self;
        let version = |text: &str| vec![("version", text.to_owned())];
        let build = [("engine", clockjack_sandbox::ENGINE_VERSION.to_owned())];
        let build = version(env!("CARGO_PKG_VERSION")).into_iter().chain(build).collect();
        page.info("clockjack_build", "Which program this is, and which version of wasmtime runs guests.", build)?;
        page.info("clockjack_zone_rules", "Which release of the zone rules.", version(&reading.host.zone_rules))?;
        page.gauges(
            "clockjack_manifest_ok",
            "Whether the manifest that was last read is in force.",
            one(u64::from(reading.is_manifest_ok)),
        )?;
        page.gauges(
            "clockjack_manifest_last_reload_timestamp_seconds",
            "When a manifest last came into force.",
            reading.host.last_reload.map(|at| (Vec::new(), seconds(at))),
        )?;
        let reloads = [("ok", reading.host.n_reloads), ("refused", reading.host.n_refused)];
        page.counters(
            "clockjack_manifest_reloads",
            "How often the manifest was read again.",
            reloads.map(|(result, n)| (vec![("result", result.to_owned())], n)),
        )?;
        page.gauges("clockjack_jobs", "How many jobs are in force.", one(count(reading.n_jobs)))?;
        page.gauges(
            "clockjack_metrics_jobs_dropped",
            "How many jobs have no series of their own and are counted together as `_other`.",
            one(count(reading.n_dropped)),
        )?;
        let plugin = |name: &str| vec![("plugin", name.to_owned())];
        page.gauges(
            "clockjack_plugin_generation",
            "Which generation of its code a plugin runs.",
            scene.plugins.iter().map(|(name, generation, _)| (plugin(name), *generation)),
        )?;
        page.gauges(
            "clockjack_plugin_candidate_waiting",
            "Whether a plugin has a file that is not in force: refused, or waiting for approval.",
            scene.plugins.iter().map(|(name, _, is_waiting)| (plugin(name), u64::from(*is_waiting))),
        )?;
        page.counters(
            "clockjack_plugin_events",
            "What happened to plugins.",
            reading.host.plugin_news.iter().map(|(news, n)| (vec![("event", (*news).to_owned())], *n)),
        )?;
        page.counters(
            "clockjack_clock_steps",
            "How often the wall clock and the monotonic clock went apart.",
            one(reading.host.n_clock_steps),
        )?;
        page.counters("clockjack_scheduler_turns", "How many turns the scheduler took.", one(reading.n_turns))?;
        page.gauges(
            "clockjack_scheduler_last_turn_timestamp_seconds",
            "When the scheduler last took a turn: at most a second ago where all is well.",
            reading.last_turn.map(|at| (Vec::new(), seconds(at))),
        )?;
        page.gauges("clockjack_event_readers", "How many listen to the events.", one(count(scene.n_listeners)))
    }

    fn ends_of_jobs(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let runs = |(name, job): &(String, Figures)| {
            let row = |(code, n): (_, &u64)| (job_and(name, "outcome", &format!("{code}")), *n);
            job.runs.iter().map(row).collect::<Vec<_>>()
        };
        page.counters("clockjack_runs", "Runs that ended, by outcome.", self.reading.jobs.iter().flat_map(runs))?;
        let skips = |(name, job): &(String, Figures)| {
            job.skips.iter().map(|(reason, n)| (job_and(name, "reason", reason), *n)).collect::<Vec<_>>()
        };
        let help = "Slots that became no run, by reason.";
        page.counters("clockjack_slots_skipped", help, self.reading.jobs.iter().flat_map(skips))?;
        page.counters("clockjack_attempts", "Attempts that ended.", self.each(|job| Some(job.n_attempts)))?;
        page.counters(
            "clockjack_retries",
            "Attempts after which another one followed.",
            self.each(|job| Some(job.n_retries)),
        )?;
        page.gauges(
            "clockjack_job_last_run_success",
            "Whether the last run that ended was a success.",
            self.each(|job| job.last_was_success.map(u64::from)),
        )?;
        page.gauges(
            "clockjack_job_paused",
            "Whether nothing of the job starts until it is resumed.",
            self.each(|job| job.job.is_some().then_some(u64::from(job.is_paused))),
        )
    }

    fn times_of_jobs(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let histograms = |of: fn(&Figures) -> &Histogram| {
            let rows = self.reading.jobs.iter().map(move |(name, job)| (job_label(name), of(job)));
            rows.filter(|(_, histogram)| 0 < histogram.n_values())
        };
        page.histograms("clockjack_run_duration_seconds", "How long attempts took.", histograms(|job| &job.duration))?;
        page.histograms(
            "clockjack_run_start_lateness_seconds",
            "How long after they were due first attempts began, waiting for a place included.",
            histograms(|job| &job.lateness),
        )?;
        let now = self.scene.now;
        page.gauges(
            "clockjack_job_next_slot_timestamp_seconds",
            "When the next slot is; absent while the job is paused.",
            self.each(|job| job.next_slot(now).map(seconds)),
        )?;
        page.gauges(
            "clockjack_job_last_run_timestamp_seconds",
            "When the last run ended.",
            self.each(|job| job.last_run.map(seconds)),
        )?;
        page.gauges(
            "clockjack_job_last_success_timestamp_seconds",
            "When the last run ended that was a success, since the host was started.",
            self.each(|job| job.last_success.map(seconds)),
        )
    }

    fn guests(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.counters(
            "clockjack_guest_cpu_seconds",
            "Processor time of guests.",
            self.each(|job| Some(job.cpu_time.as_secs_f64())),
        )?;
        page.gauges(
            "clockjack_guest_memory_peak_bytes",
            "The most memory that the last attempt had.",
            self.each(|job| (0 < job.n_attempts).then_some(job.memory_peak_bytes)),
        )?;
        page.counters(
            "clockjack_guest_fuel",
            "Instructions of guests, where they are metered.",
            self.each(|job| Some(job.fuel).filter(|fuel| 0 < *fuel)),
        )
    }

    fn pools(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let pools = &self.reading.host.pools;
        let each = |of: fn(&clockjack_schedule::core::PoolLoad) -> usize| {
            pools.iter().map(move |(name, load)| (vec![("pool", name.to_string())], count(of(load))))
        };
        page.gauges("clockjack_pool_size", "How many runs may go on at once.", each(|load| load.size))?;
        page.gauges(
            "clockjack_pool_running",
            "How many runs have a place, those included that were claimed ahead of one.",
            each(|load| load.n_going),
        )?;
        page.gauges("clockjack_pool_waiting", "How many runs wait for a place.", each(|load| load.n_ready))
    }

    fn ledger(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let OfHost { commit_time, commit_size, is_held, n_held, .. } = &self.reading.host;
        page.histograms(
            "clockjack_ledger_commit_seconds",
            "How long commits took, repeats included.",
            [(Vec::new(), commit_time)],
        )?;
        page.histograms(
            "clockjack_ledger_commit_changes",
            "How many changes one commit had.",
            [(Vec::new(), commit_size)],
        )?;
        page.gauges(
            "clockjack_ledger_held",
            "Whether nothing starts because the ledger cannot be written.",
            one(u64::from(*is_held)),
        )?;
        page.counters("clockjack_ledger_holds", "How often that was so.", one(*n_held))
    }

    fn notifications(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let host = &self.reading.host;
        let row = |((channel, delivery), n): (&(std::sync::Arc<str>, super::Delivery), &u64)| {
            (vec![("channel", channel.to_string()), ("result", delivery.as_str().to_owned())], *n)
        };
        page.counters(
            "clockjack_notifications",
            "What became of attempts to deliver notifications.",
            host.deliveries.iter().map(row),
        )?;
        page.gauges(
            "clockjack_notifications_waiting",
            "How many notifications have not arrived yet.",
            host.waiting.iter().map(|(channel, n)| (vec![("channel", channel.to_string())], *n)),
        )
    }

    fn of_process(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let Process { cpu_time, resident_bytes, virtual_bytes, n_open_files, n_threads } = self.process;
        page.counters(
            "process_cpu_seconds",
            "Processor time of the host and its guests.",
            one(cpu_time.as_secs_f64()),
        )?;
        let known = |value: Option<u64>| value.map(|value| (Vec::new(), value));
        page.gauges("process_resident_memory_bytes", "Memory that is in use.", known(resident_bytes))?;
        page.gauges("process_virtual_memory_bytes", "Address space that is reserved.", known(virtual_bytes))?;
        page.gauges("process_open_fds", "How many files and connections are open.", known(n_open_files))?;
        page.gauges("process_threads", "How many threads there are.", known(n_threads))?;
        page.gauges(
            "process_start_time_seconds",
            "Since when the host has been there.",
            one(seconds(self.scene.started_at)),
        )
    }

    /// One row for each job for which there is a value.
    fn each<N>(&self, of: impl Fn(&Figures) -> Option<N>) -> impl Iterator<Item = (Labels, N)> {
        self.reading.jobs.iter().filter_map(move |(name, job)| Some((job_label(name), of(job)?)))
    }
}

fn one<N>(value: N) -> [(Labels, N); 1] {
    [(Vec::new(), value)]
}

fn job_label(name: &str) -> Labels {
    vec![("job_name", name.to_owned())]
}

fn job_and(name: &str, key: &'static str, value: &str) -> Labels {
    vec![("job_name", name.to_owned()), (key, value.to_owned())]
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1e3
}
