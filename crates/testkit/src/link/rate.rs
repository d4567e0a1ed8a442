//! Capacity of the bottleneck over time.

use std::fmt;
use std::sync::Arc;

use super::limits;

/// Bits in a byte times nanoseconds in a second: capacity is counted in bit-nanoseconds per second.
const BIT_NS_PER_BYTE: u128 = 8 * 1_000_000_000;

/// Traces may count from the Unix epoch; anything beyond this is no time.
const SECONDS_MAX: f64 = 1e11;

const NS_PER_MS: u64 = 1_000_000;

/// How fast the bottleneck sends.
#[derive(Debug, Clone)]
pub enum Rate {
    /// No bottleneck.
    Unlimited,
    /// A schedule; see [`Rate::constant`], [`Rate::trace`] and [`Rate::mahimahi`].
    Limited(Schedule),
}

/// Pieces of constant rate that repeat for ever.
#[derive(Debug, Clone)]
pub struct Schedule {
    pieces: Arc<[Piece]>,
    /// Bit-nanoseconds per second of one whole period; never zero.
    period_capacity: u128,
}

/// The rate up to a moment of the period.
#[derive(Debug, Clone, Copy)]
struct Piece {
    end_ns: u64,
    bits_per_s: u64,
}

/// A trace that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceError {
    /// Line of the text, from 1; 0 where the whole text is meant.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

impl std::error::Error for TraceError {}

impl Rate {
    /// A fixed rate; 0 means unlimited. Rates above 1 Tbit/s are cut to that.
    pub fn constant(bits_per_s: u64) -> Self {
        let piece = Piece { end_ns: 1_000_000_000, bits_per_s: bits_per_s.min(limits::RATE_MAX) };
        match Schedule::new(vec![piece]) {
            Ok(schedule) => Self::Limited(schedule),
            Err(_) => Self::Unlimited,
        }
    }

    /// Reads lines of `seconds Mbit/s`. A rate holds from its own time to the next line's; the last holds as long
    /// as the one before it (one second where there is none), then the trace repeats. Times start anywhere and
    /// grow; empty lines and those that start with `#` are skipped.
    ///
    /// # Errors
    ///
    /// A line that is no pair of numbers, times that do not grow, a trace that is too long, or one without capacity.
    pub fn trace(text: &str) -> Result<Self, TraceError> {
        let mut points = Vec::new();
        for (line, content) in lines(text) {
            let mut fields = content.split_whitespace().map(str::parse::<f64>);
            let (Some(Ok(seconds)), Some(Ok(mbit_per_s)), None) =
                (fields.next(), fields.next(), fields.next())
            else {
                return Err(TraceError { line, reason: "expected `seconds Mbit/s`" });
            };
            if !(seconds.abs() < SECONDS_MAX && mbit_per_s.is_finite() && mbit_per_s >= 0.0) {
                return Err(TraceError { line, reason: "a number is out of range" });
            }
            if points.last().is_some_and(|&(before, _)| seconds <= before) {
                return Err(TraceError { line, reason: "times must grow" });
            }
            if points.len() == limits::TRACE_PIECES_MAX {
                return Err(TraceError { line, reason: "the trace has too many lines" });
            }
            points.push((seconds, ((mbit_per_s * 1e6) as u64).min(limits::RATE_MAX)));
        }
        let Some(&(start, _)) = points.first() else {
            return Err(TraceError { line: 0, reason: "the trace is empty" });
        };
        let last_s = match points.as_slice() {
            [.., (before, _), (last, _)] => last - before,
            _ => 1.0,
        };
        let ends = points.iter().skip(1).map(|&(seconds, _)| seconds);
        let end_last = points.last().map(|&(seconds, _)| seconds + last_s);
        let pieces = points
            .iter()
            .zip(ends.chain(end_last))
            // Whole microseconds hide the rounding of decimal seconds.
            .map(|(&(_, bits_per_s), end)| Piece {
                end_ns: (((end - start) * 1e6).round() as u64).saturating_mul(1000),
                bits_per_s,
            })
            .collect();
        Schedule::new(pieces).map(Self::Limited)
    }

    /// Reads a Mahimahi trace: each line is a millisecond (from 0, never falling) in which 1,500 bytes may leave;
    /// the trace repeats after its last line. Capacity is spread over the millisecond that it belongs to.
    ///
    /// # Errors
    ///
    /// A line that is no whole number, times that fall, a trace that is too long or lasts no time.
    pub fn mahimahi(text: &str) -> Result<Self, TraceError> {
        const BITS_PER_S: u64 = 1500 * 8 * 1000;
        let mut pieces: Vec<Piece> = Vec::new();
        for (line, content) in lines(text) {
            let Ok(ms) = content.parse::<u64>() else {
                return Err(TraceError { line, reason: "expected a whole number of milliseconds" });
            };
            // Mahimahi delivers at the end of the named millisecond; 0 can only mean the first one.
            let ms = ms.max(1);
            let end_ns = ms.saturating_mul(NS_PER_MS);
            let before_ns = pieces.last().map_or(0, |piece| piece.end_ns);
            if end_ns < before_ns {
                return Err(TraceError { line, reason: "times must not fall" });
            }
            if pieces.len() + 2 > limits::TRACE_PIECES_MAX {
                return Err(TraceError { line, reason: "the trace has too many lines" });
            }
            match pieces.last_mut() {
                Some(piece) if piece.end_ns == end_ns => {
                    piece.bits_per_s = (piece.bits_per_s + BITS_PER_S).min(limits::RATE_MAX);
                }
                _ => {
                    if end_ns - NS_PER_MS > before_ns {
                        pieces.push(Piece { end_ns: end_ns - NS_PER_MS, bits_per_s: 0 });
                    }
                    pieces.push(Piece { end_ns, bits_per_s: BITS_PER_S });
                }
            }
        }
        Schedule::new(pieces).map(Self::Limited)
    }

    /// When a packet of `length` bytes that starts at `start_ns` has left.
    pub(crate) fn finish_ns(&self, start_ns: u64, length: usize) -> u64 {
        match self {
            Self::Unlimited => start_ns,
            Self::Limited(schedule) => schedule.finish_ns(start_ns, length),
        }
    }
}

/// Lines with their numbers, without comments and blank ones.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

impl Schedule {
    fn new(pieces: Vec<Piece>) -> Result<Self, TraceError> {
        let mut period_capacity = 0;
        let mut from_ns = 0;
        for piece in &pieces {
            if piece.end_ns < from_ns || piece.end_ns > limits::TRACE_NS_MAX {
                return Err(TraceError { line: 0, reason: "the trace lasts too long" });
            }
            period_capacity += u128::from(piece.bits_per_s) * u128::from(piece.end_ns - from_ns);
            from_ns = piece.end_ns;
        }
        if period_capacity == 0 {
            return Err(TraceError { line: 0, reason: "the trace has no capacity" });
        }
        Ok(Self { pieces: pieces.into(), period_capacity })
    }

    fn period_ns(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.end_ns)
    }

    fn finish_ns(&self, start_ns: u64, length: usize) -> u64 {
        let mut need = length as u128 * BIT_NS_PER_BYTE;
        let period_ns = self.period_ns();
        // Whole periods first, so that a tiny rate costs no long walk.
        let periods = need / self.period_capacity;
        need -= periods * self.period_capacity;
        let mut base_ns = (start_ns / period_ns)
            .saturating_add(u64::try_from(periods).unwrap_or(u64::MAX))
            .saturating_mul(period_ns);
        let mut at_ns = start_ns % period_ns;
        let mut index = self.pieces.partition_point(|piece| piece.end_ns <= at_ns);
        while need > 0 {
            let Some(piece) = self.pieces.get(index) else {
                base_ns = base_ns.saturating_add(period_ns);
                at_ns = 0;
                index = 0;
                continue;
            };
            let rate = u128::from(piece.bits_per_s);
            let capacity = rate * u128::from(piece.end_ns - at_ns);
            if capacity >= need {
                // `need <= rate * u64` here, so the quotient fits, and `rate` is not zero.
                at_ns += need.div_ceil(rate) as u64;
                break;
            }
            need -= capacity;
            at_ns = piece.end_ns;
            index += 1;
        }
        base_ns.saturating_add(at_ns)
    }
}
