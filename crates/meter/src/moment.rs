//! When something is counted.

/// A moment on two clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds on a clock that nobody sets, for rates.
    pub steady_us: u64,
    /// Milliseconds since the Unix epoch, for hours and days.
    pub wall_ms: u64,
}
