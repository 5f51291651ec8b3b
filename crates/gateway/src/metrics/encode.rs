//! The numbers as text: OpenMetrics 1.0.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::{Answered, Counts, Drifted, EFFECTS, Level, Metrics, Outcome, place};
use crate::upstream::Health;

/// What is looked at when somebody reads the numbers.
pub(crate) type Look = Box<dyn Fn() -> Level + Send + Sync>;

/// Everything that is shown.
pub(super) struct Shown {
    pub(super) metrics: Arc<Metrics>,
    pub(super) look: Look,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metrics.fmt(f)
    }
}

/// A registry of its own for one gateway: there is no global one.
pub(super) fn registry(metrics: Arc<Metrics>, look: Look) -> Registry {
    let mut registry = Registry::with_prefix("bartizan");
    registry.register_collector(Box::new(Shown { metrics, look }));
    registry
}

/// All numbers of this moment.
pub(super) fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut out = String::new();
    text::encode(&mut out, registry)?;
    Ok(out)
}

type Label<'a> = (&'static str, &'a str);
const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;

impl Shown {
    fn servers(&self) -> impl Iterator<Item = (&str, &Counts)> {
        self.metrics.servers.iter().map(|(name, counts)| (&**name, counts))
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Messages to a server, by the effect of what they name and by how they ended";
        let mut family = encoder.encode_descriptor("calls", help, None, MetricType::Counter)?;
        for (server, counts) in self.servers() {
            let counts = counts.calls.read();
            for effect in EFFECTS {
                for outcome in Outcome::ALL {
                    let count = place(effect, outcome).and_then(|at| counts.get(at)).copied().unwrap_or_default();
                    let labels: [Label<'_>; 3] = [("server", server), ("effect", effect.name()), ("outcome", outcome.name())];
                    family.encode_family(&labels)?.encode_counter(&count, NONE)?;
                }
            }
        }
        Ok(())
    }

    fn waits(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How long servers took to answer calls";
        let mut family = encoder.encode_descriptor("upstream_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (server, counts) in self.servers() {
            let (sum, count, buckets) = counts.waits.read();
            family.encode_family(&[("server", server)])?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn drift(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Approved definitions that are not as they were reviewed, when the server's lists were last read";
        let mut now = encoder.encode_descriptor("drifted_definitions", help, None, MetricType::Gauge)?;
        for (server, counts) in self.servers() {
            for (item, count) in Drifted::ALL.iter().zip(counts.drifted.read()) {
                now.encode_family(&[("server", server), ("grade", item.name())])?.encode_gauge(&signed(count))?;
            }
        }
        let help = "How often a definition was found that is not as it was reviewed";
        let mut found = encoder.encode_descriptor("drift_found", help, None, MetricType::Counter)?;
        for (server, counts) in self.servers() {
            for (item, count) in Drifted::ALL.iter().zip(counts.found.read()) {
                found.encode_family(&[("server", server), ("grade", item.name())])?.encode_counter(&count, NONE)?;
            }
        }
        Ok(())
    }

    fn confirmations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut held =
            encoder.encode_descriptor("held_calls", "Calls that a person was asked about, by effect", None, MetricType::Counter)?;
        for (effect, count) in EFFECTS.iter().zip(self.metrics.held.read()) {
            held.encode_family(&[("effect", effect.name())])?.encode_counter(&count, NONE)?;
        }
        let help = "Questions to a person, by how they ended";
        let mut answered = encoder.encode_descriptor("answered_questions", help, None, MetricType::Counter)?;
        for (answer, count) in Answered::ALL.iter().zip(self.metrics.answered.read()) {
            answered.encode_family(&[("answer", answer.name())])?.encode_counter(&count, NONE)?;
        }
        let help = "How long people took to answer";
        let (sum, count, buckets) = self.metrics.answers.read();
        let mut took = encoder.encode_descriptor("answer_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        took.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn levels(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let level = (self.look)();
        let help = "How servers are: 1 for the state that each is in";
        let mut states = encoder.encode_descriptor("server_state", help, None, MetricType::Gauge)?;
        for standing in &level.servers {
            for health in Health::ALL {
                let labels = [("server", &*standing.server), ("state", health.name())];
                states.encode_family(&labels)?.encode_gauge(&i64::from(health == standing.health))?;
            }
        }
        let help = "How servers that are started here were confined when they were started last";
        let mut confined = encoder.encode_descriptor("server_confined", help, None, MetricType::Gauge)?;
        for (server, level) in level.servers.iter().filter_map(|one| Some((&*one.server, one.confined?))) {
            confined.encode_family(&[("server", server), ("level", level)])?.encode_gauge(&1_i64)?;
        }
        let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (name, help, value) in [
            ("sessions", "Open sessions of clients", size(level.sessions)),
            ("streams", "Open streams that clients listen to", size(level.streams)),
            ("running_calls", "Calls that are running", size(level.calls)),
        ] {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        let lines = encoder.encode_descriptor("journal_lines", "Lines written to this process's journal", None, MetricType::Counter);
        lines?.encode_counter(&level.journal_lines, NONE)?;
        let help = "Bytes written to this process's journal";
        encoder.encode_descriptor("journal", help, Some(&Unit::Bytes), MetricType::Counter)?.encode_counter(&level.journal_bytes, NONE)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut build = encoder.encode_descriptor("build", "The gateway that is running", None, MetricType::Info)?;
        build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        self.calls(&mut encoder)?;
        let help = "Refusals, by reason; the gateway's own and those of servers that do not answer";
        let mut refusals = encoder.encode_descriptor("refusals", help, None, MetricType::Counter)?;
        for (reason, count) in &self.metrics.refusals {
            refusals.encode_family(&[("reason", *reason)])?.encode_counter(&count.load(Ordering::Relaxed), NONE)?;
        }
        self.waits(&mut encoder)?;
        self.drift(&mut encoder)?;
        self.confirmations(&mut encoder)?;
        self.levels(&mut encoder)
    }
}
