//! PLACEHOLDER by the lead, to be replaced by its owner.
use bartizan_monitor::journal::{Receipt, Ticket};
use bartizan_monitor::wire::json::Json;
use std::path::Path;
use std::sync::Arc;
#[derive(Debug)]
pub struct Journal;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct JournalError;
#[derive(Debug, Clone, Copy)]
pub enum Durability { Written, OnDisk }
impl Journal {
    pub fn open(_s: &Path) -> Result<Arc<Self>, JournalError> { Ok(Arc::new(Self)) }
    pub fn ticket(self: &Arc<Self>) -> Ticket { loop {} }
    pub async fn record(&self, _d: &Json, _x: Durability) -> Result<Receipt, String> { Err(String::new()) }
    pub fn note(&self, _m: &Json) {}
    pub fn finish(&self) {}
}
