use super::bystander::Bystander;
use super::flood::Flood;
use crate::fleet::testing::Ground;
use std::time::Duration;
use tokio::sync::watch;

#[test]
fn mints_of_a_flood_are_answered_and_in_the_table() {
    let ground = Ground::new();
    let flood = Flood::send(&ground.address, 500.0, Duration::from_millis(400)).unwrap();
    let minted: i64 = ground.sql.value(super::MINTED).unwrap();
    assert_eq!(u64::try_from(minted).unwrap(), flood.minted.count());
    assert_eq!(flood.failed, 0, "{:?}", flood.failed_with);
    assert_eq!(flood.says_when, flood.refused.count());
    assert_eq!(flood.minted.count() + flood.refused.count(), flood.sent);
    assert!(flood.minted.count() > 0);
    ground.runtime.block_on(ground.db.check_invariants());
}

#[test]
fn a_bystander_heartbeats_until_it_is_over() {
    let ground = Ground::new();
    let address = ground.address.as_str();
    let (over, told) = watch::channel(false);
    let client = ground.runtime.block_on(Bystander::arrive(address)).unwrap();
    let both = async {
        let watching = Bystander::watch(client, address, told);
        let ending = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            over.send_replace(true);
        };
        tokio::join!(watching, ending).0
    };
    let seen = ground.runtime.block_on(both).unwrap();
    assert_eq!(seen.failed, 0);
    assert!(seen.heartbeats.count() > 0 && seen.heartbeats.count() == seen.echoes.count());
}
