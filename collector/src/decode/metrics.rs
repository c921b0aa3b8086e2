//! How do Metric messages become rows? A row is a data point; what its metric says is repeated by reference.
//!
//! P1  A metric without data, or with data that we do not know, has no rows. It is no error.
//! P2  Proto's rules for the oneof `data` hold: the last variant wins, pieces of one variant add up.
//!
//! Not here: the points themselves (`points`).

use super::envelope::{self, Frame, Head, Names, Notices, Records};
use super::points::{self, PointBuffers};
use super::wire::{self, Reader, Reason, Result, Within};
use super::{Rejection, wire::fields};
use storage::model::attribute::{Map, MapBuilder};
use storage::model::origin::{Resource, Scope};
use storage::model::{Batch, MetricHead, PointBatchBuilder, PointData};

mod key {
    use super::super::wire::{bytes, fields};
    pub(super) const NAME: u32 = bytes(1);
    pub(super) const DESCRIPTION: u32 = bytes(2);
    pub(super) const UNIT: u32 = bytes(3);
    pub(super) const GAUGE: u32 = bytes(5);
    pub(super) const SUM: u32 = bytes(7);
    pub(super) const HISTOGRAM: u32 = bytes(9);
    pub(super) const EXPONENTIAL_HISTOGRAM: u32 = bytes(10);
    pub(super) const SUMMARY: u32 = bytes(11);
    pub(super) const METADATA: u32 = bytes(12);
    pub(super) const ALL: u64 = fields(&[1, 2, 3, 5, 7, 9, 10, 11, 12]);
}

/// The variants of the oneof `data`.
pub(super) const DATA_KEYS: [u32; 5] = [key::GAUGE, key::SUM, key::HISTOGRAM, key::EXPONENTIAL_HISTOGRAM, key::SUMMARY];
/// The list of points in each of them.
pub(super) const POINTS: u32 = wire::bytes(1);
const TEMPORALITY: u32 = wire::varint(2);
const IS_MONOTONIC: u32 = wire::varint(3);

/// How many exemplars and quantiles of a metric take few bytes here.
pub(super) fn small_parts(metric: &[u8]) -> usize {
    let mut small = 0;
    for key in DATA_KEYS {
        let part = points::small_part(kind(key));
        envelope::each(metric, &[key], &mut |data| {
            envelope::each(data, &[POINTS], &mut |point| small += envelope::small_parts(point, &[part], &[]));
        });
    }
    small
}

/// The kind of points of a variant of `data`.
fn kind(key: u32) -> points::Kind {
    match key {
        key::GAUGE => points::Kind::Gauge,
        key::SUM => points::Kind::Sum,
        key::HISTOGRAM => points::Kind::Histogram,
        key::EXPONENTIAL_HISTOGRAM => points::Kind::ExponentialHistogram,
        _ => points::Kind::Summary,
    }
}

/// Pieces in which one metric's data may be given. No SDK gives more than one.
const MAX_PIECES: usize = 1_024;

/// Decodes a request of metrics.
pub(super) fn decode(payload: &[u8], frame: &mut Frame) -> Result<Batch> {
    let mut metrics = Metrics::default();
    envelope::request(payload, &mut metrics, frame)?;
    metrics.builder.finish().or_else(|_| Reader::new(payload).fault(Reason::Columns))
}

#[derive(Debug, Default)]
struct Metrics {
    builder: PointBatchBuilder,
    metadata: MapBuilder,
    metadata_cell: Vec<u8>,
    buffers: PointBuffers,
}

/// One variant of `data`, as its pieces.
struct Data<'a> {
    key: u32,
    first: &'a [u8],
    more: Vec<&'a [u8]>,
}

impl<'a> Data<'a> {
    fn pieces(&self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// Field numbers of the variant.
    fn known(&self) -> u64 {
        match self.key {
            key::SUM => fields(&[1, 2, 3]),
            key::HISTOGRAM | key::EXPONENTIAL_HISTOGRAM => fields(&[1, 2]),
            _ => fields(&[1]),
        }
    }

    fn name(&self) -> &'static str {
        match self.key {
            key::GAUGE => "gauge",
            key::SUM => "sum",
            key::HISTOGRAM => "histogram",
            key::EXPONENTIAL_HISTOGRAM => "exponential_histogram",
            _ => "summary",
        }
    }

    /// Temporality and monotonicity; checks all fields but the points.
    fn shared(&self) -> Result<(i32, bool)> {
        let known = self.known();
        let (mut temporality, mut is_monotonic) = (0, false);
        for piece in self.pieces() {
            let mut reader = Reader::new(piece);
            while let Some(key) = reader.key()? {
                match key {
                    POINTS => drop(reader.bytes()?),
                    TEMPORALITY if known & fields(&[2]) != 0 => temporality = reader.int32()?,
                    IS_MONOTONIC if known & fields(&[3]) != 0 => is_monotonic = reader.varint()? != 0,
                    _ => reader.other(key, known)?,
                }
            }
        }
        Ok((temporality, is_monotonic))
    }

    /// Calls back for each point.
    fn each_point(&self, mut found: impl FnMut(&'a [u8]) -> Result<()>) -> Result<()> {
        for piece in self.pieces() {
            let mut reader = Reader::new(piece);
            while let Some(key) = reader.key()? {
                match key {
                    POINTS => found(reader.bytes()?).within("data_points")?,
                    _ => reader.other(key, 0)?,
                }
            }
        }
        Ok(())
    }
}

/// The coarsest scale of Prometheus's native histograms.
const LEAST_SCALE: i32 = -4;

/// Says why PromQL does not see a point that is stored, if so; of each kind of reason once.
fn tell_unseen(name: &str, data: &PointData<'_>, [of_scale, of_name]: &mut Notices) {
    let shown = || name.chars().take(200).collect::<String>();
    if let PointData::ExponentialHistogram { scale, .. } = data
        && *scale < LEAST_SCALE
        && of_scale.is_none()
    {
        *of_scale = Some(format!(
            "PromQL has no histograms of a scale below {LEAST_SCALE}: it does not see the points of metric {:?} of scale {scale}, \
             which are stored",
            shown()
        ));
    }
    if of_name.is_none() && !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        *of_name = Some(format!(
            "no letter or digit is in the name {:?}: PromQL does not see the metric, which is stored, unless \
             `query.translation_strategy` leaves names as they are",
            shown()
        ));
    }
}

#[derive(Default)]
struct Raw<'a> {
    name: &'a str,
    description: &'a str,
    unit: &'a str,
    data: Option<Data<'a>>,
}

impl Records for Metrics {
    const NAMES: Names =
        Names { resources: "resource_metrics", scopes: "scope_metrics", records: "metrics", row: "data point" };

    fn set_resource(&mut self, resource: &Resource<'_>) {
        self.builder.set_resource(resource);
    }

    fn set_scope(&mut self, scope: &Scope<'_>) {
        self.builder.set_scope(scope);
    }

    fn record(&mut self, message: &[u8], head: &Head<'_>, frame: &mut Frame) -> Result<()> {
        let raw = self.read(message, frame)?;
        self.metadata_cell.clear();
        self.metadata.finish_into(&mut self.metadata_cell);
        let rejection = frame.scratch.rejection.take();
        let Some(data) = &raw.data else { return Ok(()) };
        self.append(&raw, data, rejection.as_ref(), head, frame).within(data.name())
    }
}

impl Metrics {
    fn read<'a>(&mut self, message: &'a [u8], frame: &mut Frame) -> Result<Raw<'a>> {
        let mut raw = Raw::default();
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::NAME => raw.name = reader.str()?,
                key::DESCRIPTION => raw.description = reader.str()?,
                key::UNIT => raw.unit = reader.str()?,
                key::METADATA => {
                    frame.scratch.key_value(reader.bytes()?, &mut self.metadata, 1).within("metadata")?;
                }
                _ if DATA_KEYS.contains(&key) => {
                    let piece = reader.bytes()?;
                    match &mut raw.data {
                        Some(data) if data.key == key => {
                            data.more.push(piece);
                            if data.more.len() > MAX_PIECES {
                                return reader.fault(Reason::Merges);
                            }
                        }
                        replaced => {
                            let data = replaced.replace(Data { key, first: piece, more: Vec::new() });
                            data.map_or(Ok(()), |data| self.check(&data, frame))?;
                        }
                    }
                }
                _ => reader.other(key, key::ALL)?,
            }
        }
        Ok(raw)
    }

    /// Looks whether data that another variant has replaced is well-formed, as proto3 does.
    #[cold]
    fn check(&mut self, data: &Data<'_>, frame: &mut Frame) -> Result<()> {
        let before = frame.scratch.rejection.take();
        data.shared()?;
        data.each_point(|point| self.buffers.decode(kind(data.key), point, &mut frame.scratch).map(drop))?;
        frame.scratch.rejection = before;
        Ok(())
    }

    fn append(
        &mut self,
        raw: &Raw<'_>,
        data: &Data<'_>,
        rejection: Option<&Rejection>,
        head: &Head<'_>,
        frame: &mut Frame,
    ) -> Result<()> {
        let (temporality, is_monotonic) = data.shared()?;
        let metadata_cell = std::mem::take(&mut self.metadata_cell);
        let metric = MetricHead {
            name: raw.name,
            unit: raw.unit,
            description: raw.description,
            metadata: Map::new(&metadata_cell),
            temporality,
            is_monotonic,
        };
        let mut buffers = std::mem::take(&mut self.buffers);
        let mut metric_is_set = false;
        data.each_point(|message| {
            let point = buffers.decode(kind(data.key), message, &mut frame.scratch)?;
            let point = point.map_err(|rejection| frame.scratch.reject(rejection));
            if let Some(rejection) = rejection {
                frame.scratch.reject(rejection.clone());
            }
            if !frame.accept(self, head) {
                return Ok(());
            }
            let Ok(point) = point else { return Ok(()) };
            if !metric_is_set {
                metric_is_set = true;
                self.builder.set_metric(&metric);
            }
            tell_unseen(raw.name, &point.data, &mut frame.notices);
            self.builder.append(&point).or_else(|_| Reader::new(message).fault(Reason::Columns))
        })?;
        self.buffers = buffers;
        self.metadata_cell = metadata_cell;
        Ok(())
    }
}
