//! Bartizan's detectors: they *notice*. Text goes in, findings come out.
//!
//! A detector decides nothing: it sees no `Case`, does no I/O, has no clock and no `unsafe`, and knows
//! none of our other crates, so that the monitor and the gateway may both ask it. What a finding leads
//! to is for whoever asked.
