//! How a metric is described, registered and recorded.
//!
//! Every combination of label values that a metric may have is registered when the recorder is installed, so that all
//! of them stand at 0 from the start and recording is an index into a table. Before that, and in programs that install
//! nothing, recording does nothing.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{Key, Level, Metadata, SharedString, Unit};

/// What the recorder is told about where a metric comes from.
const METADATA: Metadata<'static> = Metadata::new("dsnd", Level::INFO, Some("dsnd"));

/// The value that stands for whatever a list of allowed values does not hold.
pub(super) const OTHER: &str = "other";

/// A label and all values that it may have: never an address, a domain or free text.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: &'static [&'static str],
}

impl Label {
    pub(super) const fn new(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }

    /// Where a value stands in the list; where [`OTHER`] does for one that is not in it.
    fn place(&self, value: &str) -> Option<usize> {
        let of = |wanted: &str| self.values.iter().position(|allowed| *allowed == wanted);
        let place = of(value);
        debug_assert!(place.is_some(), "{value:?} is no value of the label {}", self.name);
        place.or_else(|| of(OTHER))
    }
}

/// What is counted or measured.
#[derive(Debug)]
pub struct Metric<H: 'static, const N: usize> {
    name: &'static str,
    help: &'static str,
    unit: Unit,
    buckets: &'static [f64],
    labels: [Label; N],
    /// One for each combination of label values, the last label changing fastest.
    cells: OnceLock<Box<[H]>>,
}

/// A number that only grows.
pub type Counter<const N: usize> = Metric<::metrics::Counter, N>;
/// A number that goes up and down.
pub type Gauge<const N: usize> = Metric<::metrics::Gauge, N>;
/// How many values lie below each of some bounds.
pub type Histogram<const N: usize> = Metric<::metrics::Histogram, N>;

/// A metric whatever its type: what the table of all of them holds.
pub trait Described: Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What it tells, in a sentence.
    fn help(&self) -> &'static str;
    /// What it is measured in.
    fn unit(&self) -> Unit;
    /// `counter`, `gauge` or `histogram`.
    fn kind(&self) -> &'static str;
    /// Its labels with their values.
    fn labels(&self) -> &[Label];
    /// The upper bounds of a histogram's buckets; empty for the others.
    fn buckets(&self) -> &'static [f64];
    /// Describes it to the recorder and registers all of its cells there.
    fn register(&self, recorder: &dyn ::metrics::Recorder);
}

impl<H, const N: usize> Metric<H, N> {
    pub(super) const fn new(
        name: &'static str,
        unit: Unit,
        labels: [Label; N],
        buckets: &'static [f64],
        help: &'static str,
    ) -> Self {
        Self { name, help, unit, buckets, labels, cells: OnceLock::new() }
    }

    /// Values that were read from somewhere, with `other` in place of those that are not allowed.
    #[must_use]
    pub fn known<'v>(&self, values: [&'v str; N]) -> [&'v str; N] {
        let mut known = values;
        for (value, label) in known.iter_mut().zip(&self.labels) {
            if !label.values.contains(value) {
                *value = OTHER;
            }
        }
        known
    }

    fn cell(&self, values: [&str; N]) -> Option<&H> {
        let mut index = 0;
        for (label, value) in self.labels.iter().zip(values) {
            index = index * label.values.len() + label.place(value)?;
        }
        self.cells.get()?.get(index)
    }

    /// The key of every combination of label values, in the order of `cells`.
    fn keys(&self) -> Vec<Key> {
        let mut combinations: Vec<Vec<::metrics::Label>> = vec![Vec::new()];
        for label in &self.labels {
            let with = |before: &Vec<::metrics::Label>, value: &'static str| {
                let more = ::metrics::Label::from_static_parts(label.name, value);
                before.iter().cloned().chain([more]).collect()
            };
            combinations = combinations
                .iter()
                .flat_map(|before| label.values.iter().map(|value| with(before, value)).collect::<Vec<_>>())
                .collect();
        }
        combinations.into_iter().map(|labels| Key::from_parts(self.name, labels)).collect()
    }
}

/// What the three types of metrics do each in their way.
macro_rules! described {
    ($handle:ty, $kind:literal, $describe:ident, $register:ident, $start:expr) => {
        impl<const N: usize> Described for Metric<$handle, N> {
            fn name(&self) -> &'static str {
                self.name
            }

            fn help(&self) -> &'static str {
                self.help
            }

            fn unit(&self) -> Unit {
                self.unit
            }

            fn kind(&self) -> &'static str {
                $kind
            }

            fn labels(&self) -> &[Label] {
                &self.labels
            }

            fn buckets(&self) -> &'static [f64] {
                self.buckets
            }

            fn register(&self, recorder: &dyn ::metrics::Recorder) {
                let help = SharedString::const_str(self.help);
                recorder.$describe(self.name.into(), Some(self.unit), help);
                let start: fn($handle) -> $handle = $start;
                let cells = self.keys().iter().map(|key| start(recorder.$register(key, &METADATA))).collect();
                // A second recorder in one process would leave the first one without these.
                let _ = self.cells.set(cells);
            }
        }
    };
}

described!(::metrics::Counter, "counter", describe_counter, register_counter, |counter| counter);
described!(::metrics::Gauge, "gauge", describe_gauge, register_gauge, |gauge| gauge);
described!(::metrics::Histogram, "histogram", describe_histogram, register_histogram, |histogram| histogram);

impl<H> Metric<H, 1> {
    /// The values of its one label.
    #[must_use]
    pub const fn values(&self) -> &'static [&'static str] {
        self.labels[0].values
    }
}

impl<const N: usize> Counter<N> {
    /// One more.
    pub fn increment(&self, values: [&str; N]) {
        self.add(values, 1);
    }

    /// So many more.
    pub fn add(&self, values: [&str; N], more: u64) {
        if let Some(counter) = self.cell(values) {
            counter.increment(more);
        }
    }
}

impl<const N: usize> Gauge<N> {
    /// It is this now.
    #[allow(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    pub fn set(&self, values: [&str; N], now: u64) {
        self.set_to(values, now as f64);
    }

    /// The same for what is no whole number.
    pub fn set_to(&self, values: [&str; N], now: f64) {
        if let Some(gauge) = self.cell(values) {
            gauge.set(now);
        }
    }

    /// One more, until what this returns is dropped.
    pub fn hold(&self, values: [&str; N]) -> Held {
        let gauge = self.cell(values).cloned();
        if let Some(gauge) = &gauge {
            gauge.increment(1.0);
        }
        Held(gauge)
    }
}

impl<const N: usize> Histogram<N> {
    /// One more value.
    pub fn record(&self, values: [&str; N], value: f64) {
        if let Some(histogram) = self.cell(values) {
            histogram.record(value);
        }
    }

    /// One more time that something took.
    pub fn took(&self, values: [&str; N], time: Duration) {
        self.record(values, time.as_secs_f64());
    }
}

/// One that a gauge counts for as long as this lives.
#[derive(Debug)]
pub struct Held(Option<::metrics::Gauge>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.decrement(1.0);
        }
    }
}
