//! Who was reached on which network: so many of each, of so many networks, for so long.

use rusqlite::{Connection, params};

use super::sqlite::{execute, get, rows};
use crate::durable::Neighbor;
use crate::id::{NetworkId, PeerId};
use crate::limits::{NEIGHBOR_DAYS_MAX, NEIGHBOR_NETWORKS_MAX, NEIGHBORS_MAX};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Keeps one in place of what was kept of them on that network; whether anything is new.
pub(super) fn put(conn: &Connection, neighbor: &Neighbor) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO neighbor (network, id, address, heard) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET address = ?3, heard = ?4
               WHERE address <> ?3 OR heard <> ?4";
    let heard = neighbor.heard_ms.cast_signed();
    let address = neighbor.address.to_string();
    let row = params![neighbor.network.0, neighbor.id.0, address, heard];
    let is_new = execute(conn, sql, row)?;
    if is_new {
        trim(conn, neighbor)?;
    }
    Ok(is_new)
}

/// Whatever is over a bound goes, what was heard longest ago first.
fn trim(conn: &Connection, latest: &Neighbor) -> rusqlite::Result<()> {
    let oldest = latest.heard_ms.saturating_sub(NEIGHBOR_DAYS_MAX * DAY_MS);
    let sql = "DELETE FROM neighbor WHERE heard < ?";
    execute(conn, sql, [oldest.cast_signed()])?;
    let sql = "DELETE FROM neighbor WHERE network = ?1 AND id NOT IN
               (SELECT id FROM neighbor WHERE network = ?1 ORDER BY heard DESC, id LIMIT ?2)";
    execute(conn, sql, params![latest.network.0, limit(NEIGHBORS_MAX)])?;
    let sql = "DELETE FROM neighbor WHERE network NOT IN
               (SELECT network FROM neighbor GROUP BY network
                ORDER BY max(heard) DESC, network LIMIT ?)";
    execute(conn, sql, [limit(NEIGHBOR_NETWORKS_MAX)])?;
    Ok(())
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// All that is kept, the latest first.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<Neighbor>> {
    let sql = "SELECT network, id, address, heard FROM neighbor ORDER BY heard DESC, id";
    let all = rows(conn, sql, [], |row| {
        let (network, id) = (NetworkId(get(row, "network")?), PeerId(get(row, "id")?));
        let heard_ms = get::<i64>(row, "heard")?.cast_unsigned();
        // What is no address was not written by this program: passed over.
        let address = get::<String>(row, "address")?.parse().ok();
        Ok(address.map(|address| Neighbor {
            network,
            id,
            address,
            heard_ms,
        }))
    })?;
    Ok(all.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::durable::{Batch, Durability, Write};
    use crate::store::Store;

    const OWN: PeerId = PeerId([1; 32]);

    fn neighbor(network: u8, id: u8, heard_ms: u64) -> Neighbor {
        Neighbor {
            network: NetworkId([network; 8]),
            id: PeerId([id; 32]),
            address: ([10, 0, network, id], 5263).into(),
            heard_ms,
        }
    }

    fn keep(store: &mut Store, neighbors: impl IntoIterator<Item = Neighbor>) -> Vec<bool> {
        let writes = neighbors.into_iter().map(Write::Neighbor).collect();
        let durability = Durability::Process;
        let kept = store.apply(&Batch { durability, writes }).unwrap();
        kept.iter().map(|kept| kept.is_new()).collect()
    }

    #[test]
    fn they_are_there_after_a_reopen_and_each_once() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(Some(dir.path()), &OWN).unwrap();
        let mut ben = neighbor(1, 2, 1000);
        let six = Neighbor {
            address: "[fe80::7]:5264".parse().unwrap(),
            ..neighbor(1, 3, 1500)
        };
        assert_eq!(keep(&mut store, [ben, six, ben]), [true, true, false]);
        (ben.address, ben.heard_ms) = (([10, 0, 0, 9], 5270).into(), 2000);
        assert_eq!(keep(&mut store, [ben]), [true]);
        drop(store);
        let store = Store::open(Some(dir.path()), &OWN).unwrap();
        assert_eq!(store.snapshot().unwrap().neighbors, [ben, six]);
    }

    #[test]
    fn so_many_of_a_network_and_so_many_networks() {
        let mut store = Store::open(None, &OWN).unwrap();
        let most = u8::try_from(NEIGHBORS_MAX).unwrap();
        let all = (0..most + 10).map(|id| neighbor(1, id, 1000 + u64::from(id)));
        keep(&mut store, all);
        let kept = store.snapshot().unwrap().neighbors;
        assert_eq!(kept.len(), NEIGHBORS_MAX);
        assert_eq!(kept.last(), Some(&neighbor(1, 10, 1010)), "the oldest went");

        let networks = u8::try_from(NEIGHBOR_NETWORKS_MAX).unwrap();
        let others = (2..networks + 10).map(|network| neighbor(network, 5, 2000));
        keep(&mut store, others);
        let kept = store.snapshot().unwrap().neighbors;
        assert_eq!(kept.len(), NEIGHBOR_NETWORKS_MAX);
        assert!(kept.iter().all(|kept| kept.network != NetworkId([1; 8])));
    }

    #[test]
    fn who_was_not_heard_for_90_days_is_forgotten() {
        let mut store = Store::open(None, &OWN).unwrap();
        let days = |days: u64| days * DAY_MS;
        keep(
            &mut store,
            [neighbor(1, 2, days(100)), neighbor(2, 3, days(101))],
        );
        keep(&mut store, [neighbor(3, 4, days(191))]);
        let kept = store.snapshot().unwrap().neighbors;
        assert_eq!(kept, [neighbor(3, 4, days(191)), neighbor(2, 3, days(101))]);
    }
}
