//! What monitoring systems on this machine can look at.

use std::sync::Arc;

use super::House;
use super::run::ServeError;
use crate::front::http::Front;
use crate::metrics::{self, Level, Standing};
use crate::upstream::Server;

/// Lets whoever is on this machine read how much happens, where that is configured.
pub(super) async fn show(house: &Arc<House>, front: &Arc<Front>, servers: Vec<Arc<Server>>) -> Result<(), ServeError> {
    let Some(wanted) = house.settings.metrics else { return Ok(()) };
    let failed = |source| ServeError::Listen { address: wanted, source };
    let bound = metrics::bind(wanted).await.map_err(failed)?;
    tracing::info!(address = %bound.address().map_err(failed)?, "metrics are at /metrics");
    let (seen, sessions) = (house.clone(), front.clone());
    let look = move || {
        let ((calls, streams), (journal_lines, journal_bytes)) = (seen.places.in_use(), seen.journal.size());
        let servers = servers.iter().map(standing).collect();
        Level { servers, sessions: sessions.sessions(), streams, calls, journal_lines, journal_bytes }
    };
    drop(bound.serve(house.metrics.clone(), Box::new(look)));
    Ok(())
}

fn standing(server: &Arc<Server>) -> Standing {
    let confined = server.confined().map(|confined| confined.level);
    Standing { server: server.name().clone(), health: server.health(), confined }
}
