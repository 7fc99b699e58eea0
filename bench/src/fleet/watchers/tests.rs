use super::*;
use crate::fleet::testing::{Ground, settings};

fn traffic() -> Traffic {
    Traffic { tenant: "watched".into(), rate: 100, length: Duration::from_secs(2) }
}

#[test]
fn what_watchers_see_is_what_is_there_however_often_they_are_cut() {
    let (ground, settings) = (Ground::new(), settings());
    let traffic = traffic();
    let (driven, saw) =
        watch(&settings, &ground.address, &traffic, &ground.sql, &ground.runtime).unwrap();
    assert_eq!(
        history::count(&ground.sql, "watched").unwrap(),
        2 * i64::try_from(driven.cycles).unwrap()
    );
    let cut = summed(Kind::Cut, &saw).unwrap();
    assert!(cut.cuts > 0);
    assert_eq!(cut.events, 2 * driven.cycles);
    ground.runtime.block_on(ground.db.check_invariants());

    // A row that no watcher saw, or that is other than what it saw, is noticed.
    for damage in [
        "DELETE FROM claim_events WHERE sequence = (SELECT max(sequence) - 9 FROM claim_events)",
        "UPDATE claim_events SET actor = 'nobody'",
        "UPDATE claim_events SET sequence = sequence + 1000000",
        "TRUNCATE claim_events",
    ] {
        let damaged = format!("SET session_replication_role = replica; BEGIN; {damage}");
        ground.sql.batch(&damaged).unwrap();
        for (kind, saw) in saw.iter().filter(|(_, saw)| saw.entity.is_none()) {
            assert!(history::compare(&ground.sql, "watched", saw).is_err(), "{kind:?}: {damage}");
        }
        ground.sql.batch("ROLLBACK").unwrap();
        for (_, saw) in &saw {
            history::compare(&ground.sql, "watched", saw).unwrap();
        }
    }
}

#[test]
fn chance_with_the_same_seed_is_the_same_and_stays_within_its_bounds() {
    let lengths = |seed| {
        let mut chance = Chance::new(seed);
        [(); 100].map(|()| chance.length(Duration::from_secs(1)))
    };
    assert_eq!(lengths(1), lengths(1));
    assert_ne!(lengths(1), lengths(2));
    assert!(lengths(3).iter().all(|length| *length <= Duration::from_secs(1)));
}
